import Broker

/// Collects proofs of delivery and decides when they are sent: the first waits 100 ms for others, one call is in flight at a
/// time, and what Redis did not take is kept for the next one.
///
/// A value without I/O.
struct ConfirmationBatch {
    enum State: Equatable {
        case idle
        /// The timer runs.
        case collecting
        /// A call is in flight.
        case sending
    }

    enum Action: Equatable {
        /// Call `timerFired` after the interval.
        case startTimer(milliseconds: Int)
        /// Send these, and call `sent` with the outcome.
        case send([Confirmation])
    }

    enum Outcome {
        case taken
        /// Redis may take it later.
        case unavailable
        /// Redis would refuse it again.
        case refused
    }

    /// A group, one of its users, and where the proof begins: the same for all proofs of one connection.
    private struct Place: Hashable {
        let group: GroupName
        let user: String?
        let after: UInt64?

        init(_ confirmation: Confirmation) {
            group = confirmation.group
            user = confirmation.user
            after = confirmation.after
        }
    }

    static let interval = 100
    static let pause = 1000
    /// Confirmations in one call.
    static let limit = 1000
    /// Proofs that may wait. More are left out: the next one of their connection says the same and more.
    static let capacity = 100_000

    private(set) var state = State.idle
    private var waiting: [Place: Position] = [:]
    private var inFlight: [Confirmation] = []
    /// How many were left out for lack of room.
    private(set) var leftOut = 0

    var count: Int { waiting.count }

    mutating func add(_ confirmation: Confirmation) -> Action? {
        let place = Place(confirmation)
        guard waiting.count < Self.capacity || waiting[place] != nil else {
            leftOut += 1
            return nil
        }
        // Positions of one history only grow. Of two histories the later one is from the connection that is there now.
        if let known = waiting[place], known.isComparable(to: confirmation.position),
            known.offset >= confirmation.position.offset
        {
            return nil
        }
        waiting[place] = confirmation.position
        guard state == .idle else { return nil }
        state = .collecting
        return .startTimer(milliseconds: Self.interval)
    }

    mutating func timerFired() -> Action? {
        guard state == .collecting else { return nil }
        guard !waiting.isEmpty else {
            state = .idle
            return nil
        }
        state = .sending
        var batch: [Confirmation] = []
        for (place, position) in waiting.prefix(Self.limit) {
            batch.append(
                Confirmation(group: place.group, user: place.user, position: position, after: place.after))
        }
        for confirmation in batch {
            waiting[Place(confirmation)] = nil
        }
        inFlight = batch
        return .send(batch)
    }

    mutating func sent(_ outcome: Outcome) -> Action? {
        guard state == .sending else { return nil }
        if outcome == .unavailable {
            for confirmation in inFlight {
                let place = Place(confirmation)
                // A slower device of the user may have confirmed less meanwhile.
                if let newer = waiting[place] {
                    let isFurther =
                        newer.isComparable(to: confirmation.position) && newer.offset < confirmation.position.offset
                    if isFurther { waiting[place] = confirmation.position }
                } else if waiting.count < Self.capacity {
                    waiting[place] = confirmation.position
                }
            }
        }
        inFlight = []
        guard !waiting.isEmpty else {
            state = .idle
            return nil
        }
        state = .collecting
        return .startTimer(milliseconds: outcome == .taken ? Self.interval : Self.pause)
    }
}
