/// How far a group's messages have been delivered on this gateway, and what to do with one that is out of sequence.
///
/// A value without I/O. Pub/sub silently loses messages when a connection is cut, but since offsets have no holes, the next
/// message reveals the loss. Then the log is read from the cursor, and live messages wait until it has caught up.
///
/// ```
///   unknown ──first position──▶ at(position) ──offset + 1──▶ at(next)
///                                   │ jump, other history, doubt()
///                                   ▼
///                               filling(position, held) ──pages: deliver, or lost + deliver──▶ at(end)
/// ```
///
/// Anybody can publish anything under any position. A message that arrived before the log was read to its end, but is not in
/// the log, is foreign and is dropped; otherwise the log would be read forever. Of two messages with one position only the log
/// tells which is the group's; it may be the second. For the same reason a message that this gateway cannot read is judged by
/// the log alone.
public struct GroupCursor: Sendable {
    enum State: Sendable {
        case unknown
        case at(Position)
        /// covered: how many held messages arrived before the log was requested. The log has those, if it ever will.
        case filling(Position, held: [Arrival], covered: Int)
    }

    /// A live message that is held. Without a publication: one that cannot be read.
    struct Arrival: Sendable {
        var position: Position
        var publication: Publication?
    }

    /// Live messages held while the log is read. More are not needed, because the log has them too. A group without a log
    /// loses those beyond the limit; they are counted.
    public static let maximumHeld = 1000

    private(set) var state = State.unknown
    private var trace = LiveTrace()

    public init() {}

    /// Messages have been delivered up to this position.
    public var position: Position? {
        switch state {
        case .unknown: nil
        case .at(let position), .filling(let position, _, _): position
        }
    }

    public var isFilling: Bool { if case .filling = state { true } else { false } }

    public enum Action: Sendable {
        case deliver
        /// The message was delivered before.
        case drop
        /// Read the log from this position.
        case fill(Position)
        /// The message waits until the log has been read.
        case hold
        /// Another message was delivered under this position: ask the log which of the two is the group's.
        case dispute
    }

    /// Call for a live message with a position.
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

    /// Call for a live message that cannot be read. Returns where to read the log from, if it must be read now.
    public mutating func unreadable(at position: Position) -> Position? {
        switch state {
        case .unknown: return nil  // the first join is not answered yet: a later message will show it
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

    /// Call when a member has joined at this position: messages up to it are older than the join.
    public mutating func joined(at position: Position) {
        if case .unknown = state { state = .at(position) }
    }

    /// Messages may have been missed: Redis was lost, or nothing has arrived for a while. Returns where to read from.
    public mutating func doubt() -> Position? {
        guard case .at(let last) = state else { return nil }
        state = .filling(last, held: [], covered: 0)
        return last
    }

    public struct Filled: Sendable {
        public enum Step: Sendable {
            /// Messages before the next step are gone. Members that have been told continue from the position.
            case lost(Continuity, Position)
            case deliver(Publication)
        }

        /// Deliveries and losses for every member, in order.
        public var steps: [Step] = []
        /// More must be read from here.
        public var readOn: Position?
        /// Number of messages that are lost for good, in a group without a log.
        public var missed: UInt64 = 0
        /// Number of messages whose positions are not in the group's log.
        public var strangers = 0
        /// Messages whose position was already used by another delivered message.
        public var disputed: [Publication] = []
    }

    /// Call when a page of the log has arrived.
    public mutating func filled(with page: HistoryPage) -> Filled {
        var result = Filled()
        guard case .filling(let last, let held, let covered) = state else { return result }
        guard let now = page.position else {
            // The group's key is gone, and nothing has been sent since.
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
                // Report a run of unreadable messages as one loss.
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

    /// Ends a read: delivers held messages that follow the end of the log. A nil end means that the group has no log: a held
    /// message that cannot be read is then counted as missed.
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
