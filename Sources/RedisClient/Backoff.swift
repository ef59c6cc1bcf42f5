public import NIOCore

/// Delays between reconnection attempts, with full jitter, so that a fleet does not reconnect in step.
///
/// The n-th delay is random between zero and `base × 2ⁿ`, at most `ceiling`
/// (AWS Architecture Blog, "Exponential Backoff and Jitter").
public struct Backoff: Sendable {
    public var base: TimeAmount
    public var ceiling: TimeAmount
    /// How many delays have been taken since the last reset.
    public private(set) var attempt = 0

    public init(base: TimeAmount = .milliseconds(100), ceiling: TimeAmount = .seconds(1)) {
        self.base = base
        self.ceiling = ceiling
    }

    public mutating func next(using generator: inout some RandomNumberGenerator) -> TimeAmount {
        let widest = min(ceiling.nanoseconds, base.nanoseconds << min(attempt, 20))
        attempt += 1
        return .nanoseconds(Int64.random(in: 0...widest, using: &generator))
    }

    /// Call when a connection was usable: the next loss starts with short delays again.
    public mutating func reset() { attempt = 0 }
}
