/// How far a group's messages have been delivered here, and what to do when one comes that does not follow.
///
/// A value without I/O. Pub/sub loses messages when a connection is cut, and says nothing; but offsets have no holes, so
/// what does not follow shows it. Then the log is read from the cursor, and live messages wait until it has caught up.
///
/// ```
///   unknown ──first position──▶ at(position) ──offset + 1──▶ at(next)
///                                   │ jump, other history, doubt()
///                                   ▼
///                               filling(position, held) ──pages: deliver, or lost + deliver──▶ at(end)
/// ```
///
/// Anybody can publish anything under any position. A message that came before the log was read to its end, and is not in
/// it, is a stranger's: it is dropped, or the log would be read for ever. Of two messages under one position the log knows
/// which is the group's: it may be the second. A message that this gateway cannot read is judged by the log alone, for the same
/// reason.
public struct GroupCursor: Sendable {
    enum State: Sendable {
        case unknown
        case at(Position)
        /// covered: so many of the held ones came before the log was asked, so that it has them if it ever will.
        case filling(Position, held: [Arrival], covered: Int)
    }

    /// What has come live. Without a publication: something that cannot be read.
    struct Arrival: Sendable {
        var position: Position
        var publication: Publication?
    }

    /// Live messages kept while the log is read. More are not needed: the log has them too. A group without a log loses
    /// what comes above, which is counted.
    public static let maximumHeld = 1000

    private(set) var state = State.unknown
    private var trace = LiveTrace()

    public init() {}

    /// The position up to which messages have been delivered.
    public var position: Position? {
        switch state {
        case .unknown: nil
        case .at(let position), .filling(let position, _, _): position
        }
    }

    public var isFilling: Bool { if case .filling = state { true } else { false } }

    public enum Action: Sendable {
        case deliver
        /// It was delivered before.
        case drop
        /// Read the log from the position.
        case fill(Position)
        /// It waits for the log that is being read.
        case hold
        /// Another message was delivered under its position: ask the log which of the two is the group's.
        case dispute
    }

    /// A live message with a position.
    public mutating func received(_ publication: Publication, at position: Position) -> Action {
        switch state {
        case .unknown:
            state = .at(position)
            trace.delivered(publication, at: position)
            return .deliver
        case .at(let last):
            switch position.continuation(of: last) {
            case .seen: return trace.disputes(publication, at: position) ? .dispute : .drop
            case .next, .begins(0):
                state = .at(position)
                trace.delivered(publication, at: position)
                return .deliver
            case .jump, .begins, .elsewhere:
                state = .filling(last, held: [Arrival(position: position, publication: publication)], covered: 1)
                return .fill(last)
            }
        case .filling:
            hold(Arrival(position: position, publication: publication))
            return .hold
        }
    }

    /// A live message with a position that nobody here can read. Returns where to read from, if that is to be done now.
    public mutating func unreadable(at position: Position) -> Position? {
        switch state {
        case .unknown: return nil  // before the first join was answered: what follows shows it
        case .at(let last):
            if position.continuation(of: last) == .seen { return nil }
            state = .filling(last, held: [Arrival(position: position)], covered: 1)
            return last
        case .filling:
            hold(Arrival(position: position))
            return nil
        }
    }

    private mutating func hold(_ arrival: Arrival) {
        guard case .filling(let last, var held, let covered) = state, held.count < Self.maximumHeld else { return }
        state = .unknown  // the array is not shared while it grows
        held.append(arrival)
        state = .filling(last, held: held, covered: covered)
    }

    /// Somebody has joined, and this is the group's position: messages up to it are older than the join.
    public mutating func joined(at position: Position) {
        if case .unknown = state { state = .at(position) }
    }

    /// Something may have been missed: Redis was lost, or nothing has come for a while. Returns where to read from.
    public mutating func doubt() -> Position? {
        guard case .at(let last) = state else { return nil }
        state = .filling(last, held: [], covered: 0)
        return last
    }

    public struct Filled: Sendable {
        public enum Step: Sendable {
            /// Messages before the next step are gone. A member that has been told resumes from the position.
            case lost(Continuity, Position)
            case deliver(Publication)
        }

        /// Deliveries and losses, in order, for every member.
        public var steps: [Step] = []
        /// There is more to read from here.
        public var readOn: Position?
        /// Messages of a group without a log that nobody can get any more.
        public var missed: UInt64 = 0
        /// Messages under positions that the group's log does not have.
        public var strangers = 0
        /// Messages whose position another message was delivered under.
        public var disputed: [Publication] = []
    }

    /// A page of the log has come.
    public mutating func filled(with page: HistoryPage) -> Filled {
        var result = Filled()
        guard case .filling(let last, let held, let covered) = state else { return result }
        guard let now = page.position else {
            // The group's key is gone and nobody has sent since.
            if last != .beginning { result.steps.append(.lost(.reset, .beginning)) }
            return settle(.beginning, held, covered, &result)
        }
        if page.continuity == .liveOnly {
            let next = held.first?.position.offset ?? now.offset + 1
            result.missed = next > last.offset + 1 ? next - last.offset - 1 : 0
            return settle(nil, held, covered, &result, atLeast: now)
        }
        if !page.continuity.isRecovered {
            let proven = Position(epoch: now.epoch, history: now.history, offset: page.proven)
            result.steps.append(.lost(page.continuity, proven))
        }
        for entry in page.entries {
            if let publication = entry.publication {
                result.steps.append(.deliver(publication))
            } else if entry.isUnreadable {
                // One loss for a run of unreadable messages.
                if case .lost(.gap, _)? = result.steps.last { result.steps.removeLast() }
                let hole = Position(epoch: now.epoch, history: now.history, offset: entry.offset)
                result.steps.append(.lost(.gap, hole))
            }
        }
        let end = page.end ?? now
        if end.offset < now.offset, !page.entries.isEmpty || !page.continuity.isRecovered {
            state = .filling(end, held: held, covered: held.count)
            result.readOn = end
            return result
        }
        return settle(end, held, covered, &result)
    }

    /// The log has been read to its end, and held messages that follow it are delivered. A nil end means that the group has no
    /// log: a held message that cannot be read is then counted as missed.
    private mutating func settle(
        _ end: Position?, _ held: [Arrival], _ covered: Int, _ result: inout Filled, atLeast now: Position? = nil
    ) -> Filled {
        let hasLog = end != nil
        var end = end
        for (index, arrival) in held.enumerated() {
            let position = arrival.position
            if let last = end, position.continuation(of: last) == .seen {
                if let publication = arrival.publication, trace.disputes(publication, at: position) {
                    result.disputed.append(publication)
                }
                continue
            }
            let follows = end.map { position.follows($0) } ?? true
            if follows, let publication = arrival.publication {
                result.steps.append(.deliver(publication))
                trace.delivered(publication, at: position)
                end = position
                continue
            }
            if follows, !hasLog, let now, position.continuation(of: now) == .seen {
                result.missed += 1
                end = position
                continue
            }
            if index < covered {
                result.strangers += 1
                continue
            }
            guard let last = end else { continue }
            state = .filling(last, held: Array(held[index...]), covered: held.count - index)
            result.readOn = last
            return result
        }
        state = (end ?? now).map(State.at) ?? .unknown
        return result
    }
}
