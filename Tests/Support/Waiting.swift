/// What was waited for in vain.
public struct WaitedInVain: Error, CustomStringConvertible {
    public let description: String
}

/// Returns as soon as `condition` holds, asked again and again; for what shows itself only from outside.
///
/// - Parameter patience: how long until the test has failed. Generous: a busy machine is no failure.
/// - Throws: `WaitedInVain`, naming what did not come.
public func waitUntil(
    _ what: @autoclosure () -> String, patience: Duration = .seconds(30), isolation: isolated (any Actor)? = #isolation,
    _ condition: () async throws -> Bool
) async throws {
    let end = ContinuousClock.now + patience
    while try await !condition() {
        guard ContinuousClock.now < end else { throw WaitedInVain(description: "waited in vain for \(what())") }
        try await Task.sleep(for: .milliseconds(5))
    }
}
