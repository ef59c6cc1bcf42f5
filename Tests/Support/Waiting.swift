/// A condition that was not met in time.
public struct WaitedInVain: Error, CustomStringConvertible {
    public let description: String
}

/// Polls until `condition` holds; for effects that are visible only from outside.
///
/// - Parameter patience: how long until the test fails. Generous, because a busy machine is not a failure.
/// - Throws: `WaitedInVain`, naming the missing condition.
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
