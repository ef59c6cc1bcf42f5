/// Whether Redis rings when an inbox is written: rung again and again, and heard through the subscription.
///
/// A value without I/O. `notify-keyspace-events` is one setting for the whole server. Its other users may change it while
/// gateways run, and Redis does not announce that. So the bell is relied on only while it is heard.
///
/// ```
///   unknown ──heard──▶ hearing ──a ring was not heard──▶ deaf ──heard──▶ hearing
///      │                                                  ▲
///      └──a ring was not heard────────────────────────────┘        lost(): unknown, from any state
/// ```
struct DoorbellWatch {
    enum State: Equatable {
        /// Nothing is known yet on this connection.
        case unknown
        case hearing
        /// The ticks since the bell was last set.
        case deaf(ticks: Int)
    }

    enum Action: Equatable {
        /// Write to the bell's key.
        case ring
        /// Look into the inboxes.
        case look
        /// Set `notify-keyspace-events`.
        case set
        /// Tell a person: the bell is dead; it works again.
        case sayDeaf, sayHearing
    }

    /// Ticks after which a dead bell is set once more.
    static let patience = 4

    private(set) var state = State.unknown
    /// A ring has been sent and not been heard yet.
    private(set) var isUnanswered = false

    /// Whether the inboxes have to be looked into all the time.
    var mustPoll: Bool { state != .hearing }

    /// Four times a second. The inboxes are looked into in any case: the layer drops silently above 100 messages in one, which
    /// a busy sender reaches before a dead bell is noticed.
    mutating func tick() -> [Action] {
        defer { isUnanswered = true }
        switch state {
        case .unknown where !isUnanswered, .hearing where !isUnanswered:
            return [.ring, .look]
        case .unknown, .hearing:
            state = .deaf(ticks: 0)
            return [.sayDeaf, .set, .ring, .look]
        case .deaf(let ticks):
            let isDue = ticks + 1 >= Self.patience
            state = .deaf(ticks: isDue ? 0 : ticks + 1)
            return isDue ? [.set, .ring, .look] : [.ring, .look]
        }
    }

    mutating func heard() -> [Action] {
        isUnanswered = false
        defer { state = .hearing }
        if case .deaf = state { return [.sayHearing, .look] }
        return []
    }

    /// One of the connections is gone: what was rung on it may not be heard.
    mutating func lost() {
        state = .unknown
        isUnanswered = false
    }
}
