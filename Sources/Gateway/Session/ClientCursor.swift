import Broker

/// How much a client's socket can take now.
enum Room: Equatable {
    /// The socket has room.
    case free
    /// The socket is full; unlogged messages may still be queued.
    case unloggedOnly
    /// The socket is full, and so is the queue for unlogged messages.
    case none
}

/// The delivery state of one client in one group: what it has been shown, and whether it is live or fed from the log.
///
/// A value without I/O: it takes messages, pages and the socket's state, and returns actions for `Session` to perform.
///
/// ```
///             proceed: the log has no more
///   behind ─────────────────────────────────▶ live
///    ▲  │ proceed: it may have                  │ offer: logged, and the socket is full
///    │  ▼                                       │
///   reading ◀── page, entries, finish ──────────┘ (behind)
///
///   any ──a loss, or a new history, and the client subscribes again──▶ left
/// ```
struct ClientCursor: Equatable {
    enum State: Equatable {
        /// Up to date: gets messages as they arrive.
        case live
        /// A lagging cursor: everything up to here has been written. mustRead: the log has more, or may have.
        case behind(Position, mustRead: Bool)
        /// A lagging cursor with a page of the log on its way.
        case reading(Position, ReadTicket)
        /// The client was told to subscribe again; it gets nothing more.
        case left
    }

    private(set) var state: State
    /// The last position shown to the client. Kept in the member's slot by `SessionMembership` while the client is live.
    var shown: Position?
    /// Unlogged messages dropped since the client was last notified.
    private(set) var dropped = 0
    /// A loss happened while a page was on its way, which may predate it.
    private var isDoubted = false
    /// The client must subscribe again after a loss or in a new history, because its SDK cannot resume there (centrifuge).
    let subscribesAgain: Bool

    /// - Parameters:
    ///   - position: the client has everything up to here.
    ///   - isResumption: the client was connected before, and wants what came since.
    init(at position: Position, isResumption: Bool, subscribesAgain: Bool) {
        state = .behind(position, mustRead: isResumption)
        shown = position
        self.subscribesAgain = subscribesAgain
    }

    // MARK: Live messages

    enum Offer: Equatable {
        /// The client has the message, or will get it from the log.
        case skip
        /// Write the message, after telling the client how many were missed and how many dropped.
        case take(missed: UInt64, dropped: Int)
        /// The message is not logged and the socket has no room. It is counted, and reported to the client later.
        case drop
        /// The client must be fed from the log from here on.
        case fallBehind
        /// Tell the client to subscribe again.
        case subscribeAgain
    }

    /// Call for each message. A message that the client has seen, perhaps from the log, is never shown again.
    mutating func offer(_ position: Position?, isLogged: Bool, room: Room) -> Offer {
        let continuation = position.flatMap { position in shown.map { position.continuation(of: $0) } }
        switch state {
        case .left: return .skip
        case .behind, .reading: if isLogged { return .skip }
        case .live: break
        }
        if continuation == .seen { return .skip }
        if isLogged, room != .free, var before = position {
            before.offset -= 1
            state = .behind(before, mustRead: true)
            return .fallBehind
        }
        if isLogged, isNewHistory(continuation) {
            state = .left
            return .subscribeAgain
        }
        if let position { shown = position }
        if room == .none {
            dropped += 1
            return .drop
        }
        let missed = isLogged ? 0 : Self.between(continuation)
        return .take(missed: missed, dropped: takeDropped())
    }

    /// Whether a run that begins with `first` can be written whole to a live client that has been shown `shown`.
    static func takesRun(from first: Position, isLogged: Bool, shown: Position) -> Bool {
        switch first.continuation(of: shown) {
        case .next: true
        case .jump: isLogged
        case .seen, .begins, .elsewhere: false
        }
    }

    private func isNewHistory(_ continuation: Continuation?) -> Bool {
        switch continuation {
        case .elsewhere, .begins: subscribesAgain
        case nil, .seen, .next, .jump: false
        }
    }

    private static func between(_ continuation: Continuation?) -> UInt64 {
        switch continuation {
        case .jump(let count), .begins(let count): count
        case nil, .seen, .next, .elsewhere: 0
        }
    }

    /// Call when there is room. Returns the number of dropped messages to report now, and resets it.
    mutating func takeDropped() -> Int {
        defer { dropped = 0 }
        return dropped
    }

    // MARK: Losses

    /// Messages up to a position are lost for everybody. Returns whether to tell the client now.
    ///
    /// A lagging client learns of the loss from the log, which is read again: a page requested earlier may predate the loss.
    /// Only a cursor from before the first message cannot learn it from a log that was started anew.
    ///
    /// - Parameter hadMessages: the group had received messages.
    mutating func lost(_ continuity: Continuity, at position: Position, hadMessages: Bool) -> Bool {
        switch state {
        case .live: return tellsLoss(continuity, at: position)
        case .left: return false
        case .behind(let cursor, _): state = .behind(cursor, mustRead: true)
        case .reading: isDoubted = true
        }
        guard hadMessages, lagging == .beginning, continuity != .gap else { return false }
        leaveIfTold(continuity)
        return true
    }

    /// The position of the lagging cursor.
    private var lagging: Position? {
        switch state {
        case .behind(let cursor, _), .reading(let cursor, _): cursor
        case .live, .left: nil
        }
    }

    /// Returns false for a client that is already past the gap and misses nothing.
    private mutating func tellsLoss(_ continuity: Continuity, at position: Position) -> Bool {
        if continuity == .gap, let shown, position.continuation(of: shown) == .seen { return false }
        shown = position
        leaveIfTold(continuity)
        return true
    }

    /// A message without a position may have been missed. Leaves `shown` as it is.
    mutating func mayHaveMissed() -> Bool {
        if state == .left { return false }
        leaveIfTold(.gap)
        return true
    }

    private mutating func leaveIfTold(_ continuity: Continuity) {
        if subscribesAgain, continuity != .liveOnly { state = .left }
    }

    // MARK: Catching up

    enum Step: Equatable {
        case wait
        case read(since: Position, ReadTicket)
        case enterLive
    }

    /// The next step of a lagging cursor whose socket has room.
    ///
    /// - Parameter last: position of the group's last message on this loop; nil: none has arrived.
    mutating func proceed(last: Position?) -> Step {
        guard case .behind(let cursor, let mustRead) = state else { return .wait }
        let hasMore = last.map { $0.continuation(of: cursor) != .seen } ?? false
        if mustRead || hasMore {
            let ticket = ReadTicket()
            isDoubted = false
            state = .reading(cursor, ticket)
            return .read(since: cursor, ticket)
        }
        state = .live
        return .enterLive
    }

    /// Whether the read with this ticket is still being waited for.
    func isReading(_ ticket: ReadTicket) -> Bool { if case .reading(_, ticket) = state { true } else { false } }

    /// The log could not be read; it will be asked again.
    mutating func readAgain(_ ticket: ReadTicket) {
        if case .reading(let cursor, ticket) = state { state = .behind(cursor, mustRead: true) }
    }

    enum PageStart: Equatable {
        /// The page is no longer waited for.
        case stale
        /// Tell the client of the loss, if any, then pass the entries to `take`.
        case entries(tell: Continuity?)
        /// The group has no log: tell the client how many messages it missed.
        case missed(UInt64)
        /// No message was ever sent under the group's new key, so whatever comes next is new.
        case enterLive(tell: Continuity?)
    }

    /// Call when a page arrives. After `.entries`, call `take` for each entry and then `finish`.
    mutating func arrived(_ page: HistoryPage, _ ticket: ReadTicket) -> PageStart {
        guard isReading(ticket) else { return .stale }
        var reached = page.position ?? .beginning
        if page.continuity == .liveOnly {
            // Messages that arrived meanwhile were shown, or reported, already.
            let seen = shown.flatMap { $0.isComparable(to: reached) ? $0.offset : nil } ?? 0
            let known = max(page.proven, seen)
            state = .behind(reached, mustRead: isDoubted)
            guard reached.offset > known else { return .missed(0) }
            shown = reached
            return .missed(reached.offset - known)
        }
        reached.offset = page.proven
        let isBegun = page.position != nil || isDoubted
        state = isBegun ? .reading(reached, ticket) : .live
        let tell = page.continuity.isRecovered ? nil : page.continuity
        if let tell {
            shown = reached
            leaveIfTold(tell)
        }
        return state == .live ? .enterLive(tell: tell) : .entries(tell: tell)
    }

    enum EntryStep: Equatable {
        case write
        /// Nothing to do: expired, already seen, or reported with the next entry.
        case pass
        /// Messages are lost; or, for a client that must subscribe again, the history is a new one.
        case tell(Continuity)
        /// Take no more of the page.
        case stop
    }

    /// Call for each entry of the page, in order.
    ///
    /// - Parameter isFollowedByUnreadable: a run of unreadable entries is reported once, at its last one.
    mutating func take(_ entry: HistoryEntry, isFollowedByUnreadable: Bool = false, hasRoom: Bool) -> EntryStep {
        guard case .reading(var reached, let ticket) = state else { return .stop }
        guard hasRoom else {
            state = .behind(reached, mustRead: true)
            return .stop
        }
        reached.offset = entry.offset
        if entry.isUnreadable {
            state = .reading(reached, ticket)
            return !isFollowedByUnreadable && tellsLoss(.gap, at: reached) ? .tell(.gap) : .pass
        }
        if let position = entry.publication?.position {
            let continuation = shown.map { position.continuation(of: $0) }
            if isNewHistory(continuation) {
                state = .left
                return .tell(.historyChanged)
            }
            state = .reading(reached, ticket)
            if continuation == .seen { return .pass }
            shown = position
            return .write
        }
        state = .reading(reached, ticket)
        return .pass
    }

    /// Call after the last entry. Returns the client's position if it has reached the end of the log.
    mutating func finish(_ page: HistoryPage) -> Position? {
        guard case .reading(let reached, _) = state else { return nil }
        let end = page.position?.offset ?? 0
        // An empty page with more to come would be read forever: only a trimmed log does that, and it reports a gap.
        let hasMore = reached.offset < end && (!page.entries.isEmpty || !page.continuity.isRecovered)
        state = .behind(reached, mustRead: hasMore || isDoubted)
        return reached.offset == end && !isDoubted ? reached : nil
    }
}
