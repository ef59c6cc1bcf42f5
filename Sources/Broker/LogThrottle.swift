public import NIOCore

/// Passes the first event, then one per minute together with the number of suppressed ones: a flood of bad input becomes a
/// counter in `/metrics` and one line in the log.
public struct LogThrottle: Sendable {
    private var next: NIODeadline?
    private var held = 0

    public init() {}

    /// - Returns: nil: do not log. Otherwise the number of events suppressed since the last line.
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
