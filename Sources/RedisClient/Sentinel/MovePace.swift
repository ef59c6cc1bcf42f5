import NIOCore

/// How soon a connection follows an announcement that the primary has moved.
///
/// A value without I/O. The first one is followed at once: every millisecond at a primary that is none is lost. Those that come soon
/// after it wait longer and longer, with jitter: a Sentinel that announces one failover after the other, or anybody who can publish
/// on its channel, could otherwise have a gateway redial without end. Once announcements have paused, the next is followed at once.
struct MovePace {
    /// After so long without an announcement the next one is followed at once.
    static let pause = TimeAmount.seconds(60)
    /// The longest delay. A primary that really dies ends its connections itself, and redialling does not wait for this.
    static let ceiling = TimeAmount.seconds(10)

    private var backoff = Backoff(base: .milliseconds(200), ceiling: Self.ceiling)
    private var last: NIODeadline?

    /// - Returns: how long to wait before the announcement is followed; zero: not at all.
    mutating func delay(at now: NIODeadline, using generator: inout some RandomNumberGenerator) -> TimeAmount {
        defer { last = now }
        guard let last, now - last < Self.pause else {
            backoff.reset()
            return .zero
        }
        return backoff.next(using: &generator)
    }
}
