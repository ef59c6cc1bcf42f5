public import NIOCore

/// Lets the first event through and then one a minute, with the number held back: a flood of bad input is a count in
/// `/metrics` and one line in the log.
public struct LogThrottle: Sendable {
    private var next: NIODeadline?
    private var held = 0

    public init() {}

    /// - Returns: nil: do not log. Otherwise how many like it were not logged since the last line.
    public mutating func pass(now: NIODeadline = .now()) -> Int? {
        if let next, now < next {
            held += 1
            return nil
        }
        next = now + .seconds(60)
        defer { held = 0 }
        return held
    }
}
