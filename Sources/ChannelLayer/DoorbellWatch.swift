/// Whether Redis notifies of writes to an inbox. Tested continuously: the gateway rings (a test write) and listens for it.
///
/// A value without I/O. `notify-keyspace-events` is a single setting for the whole server. Others may change it at any
/// time, and Redis does not announce that, so notifications are relied on only while test writes are heard.
///
/// ```
///   unknown ──heard──▶ hearing ──a ring was not heard──▶ deaf ──heard──▶ hearing
///      │                                                  ▲
///      └──a ring was not heard────────────────────────────┘        lost(): unknown, from any state
/// ```
struct DoorbellWatch {
    enum State: Equatable {
        /// Nothing is known about this connection yet.
        case unknown
        case hearing
        /// Notifications do not arrive. ticks: number of ticks since the setting was last changed.
        case deaf(ticks: Int)
    }

    enum Action: Equatable {
        /// Write to the test key.
        case ring
        /// Check the inboxes.
        case checkInboxes
        /// Set `notify-keyspace-events`.
        case set
        /// Log that notifications do not arrive; that they arrive again.
        case sayDeaf, sayHearing
    }

    /// Ticks after which the setting is changed again.
    static let patience = 4

    private(set) var state = State.unknown
    /// Whether a test write was sent and has not been heard yet.
    private(set) var isUnanswered = false

    /// Whether the inboxes must be polled.
    var mustPoll: Bool { state != .hearing }

    /// Called four times a second. Checks the inboxes in any case: the layer silently drops messages beyond 100 per inbox, which
    /// a busy sender reaches before the loss of notifications is noticed.
    mutating func tick() -> [Action] {
        defer { isUnanswered = true }
        switch state {
        case .unknown where !isUnanswered, .hearing where !isUnanswered:
            return [.ring, .checkInboxes]
        case .unknown, .hearing:
            state = .deaf(ticks: 0)
            return [.sayDeaf, .set, .ring, .checkInboxes]
        case .deaf(let ticks):
            let isDue = ticks + 1 >= Self.patience
            state = .deaf(ticks: isDue ? 0 : ticks + 1)
            return isDue ? [.set, .ring, .checkInboxes] : [.ring, .checkInboxes]
        }
    }

    mutating func heard() -> [Action] {
        isUnanswered = false
        defer { state = .hearing }
        if case .deaf = state { return [.sayHearing, .checkInboxes] }
        return []
    }

    /// Call when one of the connections was lost: earlier test writes may not be heard.
    mutating func lost() {
        state = .unknown
        isUnanswered = false
    }
}
