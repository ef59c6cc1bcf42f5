import Broker

/// What a client's socket takes now.
enum Room: Equatable {
    /// Anything.
    case free
    /// It is full; what no log keeps may still be queued.
    case unloggedOnly
    /// It is full, and so is the queue for what no log keeps.
    case none
}

/// One client in one group: what it has been shown, and whether it keeps up or is fed from the log.
///
/// A value without I/O: it takes messages, pages and the socket's state, and returns actions, which `Session` performs.
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
        /// Keeps up: gets what comes.
        case live
        /// A lagging cursor: everything up to here has been written. mustRead: the log has more, or may have.
        case behind(Position, mustRead: Bool)
        /// The same, and a page of the log is on its way.
        case reading(Position, ReadTicket)
        /// Has been told to subscribe again, and gets nothing more.
        case left
    }

    private(set) var state: State
    /// The last position that the client has been shown. `SessionMembership` keeps it elsewhere while the client is live.
    var shown: Position?
    /// Messages without history that were dropped since the client was last told.
    private(set) var dropped = 0
    /// Something was lost while a page was on its way, which may not know of it.
    private var isDoubted = false
    /// The client has to subscribe again after a loss and in a new history, because its SDK cannot resume there (centrifuge).
    let subscribesAgain: Bool

    /// - Parameters:
    ///   - position: up to which the client has everything.
    ///   - isResumption: it was here before, and wants what came since.
    init(at position: Position, isResumption: Bool, subscribesAgain: Bool) {
        state = .behind(position, mustRead: isResumption)
        shown = position
        self.subscribesAgain = subscribesAgain
    }

    // MARK: Live messages

    enum Offer: Equatable {
        /// The client has it, or will have it from the log.
        case skip
        /// Write it, after telling the client that so many were missed and so many dropped.
        case take(missed: UInt64, dropped: Int)
        /// The message is not logged and the socket has no room. It is counted, and reported to the client later.
        case drop
        /// The log has to serve from here on.
        case fallBehind
        /// Tell the client to subscribe again.
        case subscribeAgain
    }

    /// A message came. What the client has seen is never shown again: the log may have served it before.
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

    /// Whether a run that begins with `first` can be written as it is to a live client that has been shown `shown`.
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

    /// There is room: the number of dropped messages that the client is to be told of now.
    mutating func takeDropped() -> Int {
        defer { dropped = 0 }
        return dropped
    }

    // MARK: Losses

    /// Messages up to a position are lost to everybody. Whether the client is to be told now.
    ///
    /// A lagging client learns of it from the log, which is read again: a page that was requested earlier may predate the
    /// loss. Only a cursor from before the first message learns nothing from a log that has begun anew.
    ///
    /// - Parameter hadMessages: something had come to the group.
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

    /// Where the lagging cursor is.
    private var lagging: Position? {
        switch state {
        case .behind(let cursor, _), .reading(let cursor, _): cursor
        case .live, .left: nil
        }
    }

    /// A client that is beyond a gap misses nothing.
    private mutating func tellsLoss(_ continuity: Continuity, at position: Position) -> Bool {
        if continuity == .gap, let shown, position.continuation(of: shown) == .seen { return false }
        shown = position
        leaveIfTold(continuity)
        return true
    }

    /// Something that had no position may have gone by: what the client has been shown is not changed by it.
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
    /// - Parameter last: the group's last message here; nil: none has come.
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

    /// Whether the client still waits for what was asked for with the ticket.
    func isReading(_ ticket: ReadTicket) -> Bool { if case .reading(_, ticket) = state { true } else { false } }

    /// The log could not be read, and is to be asked again.
    mutating func readAgain(_ ticket: ReadTicket) {
        if case .reading(let cursor, ticket) = state { state = .behind(cursor, mustRead: true) }
    }

    enum PageStart: Equatable {
        /// It is not waited for any more.
        case stale
        /// Tell the client, and then give it the entries.
        case entries(tell: Continuity?)
        /// The group has no log: tell the client that so many are gone.
        case missed(UInt64)
        /// Nothing was ever sent under the group's new key: whatever comes is new.
        case enterLive(tell: Continuity?)
    }

    /// A page came. `take` for each of its entries, and `finish`, have to follow `entries`.
    mutating func arrived(_ page: HistoryPage, _ ticket: ReadTicket) -> PageStart {
        guard isReading(ticket) else { return .stale }
        var reached = page.position ?? .beginning
        if page.continuity == .liveOnly {
            // What has come meanwhile was shown, and told of, already.
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
        /// Nothing to do: expired, seen, or told of with the next one.
        case pass
        /// Messages are lost; or, to a client that subscribes again, the history is a new one.
        case tell(Continuity)
        /// No more of the page.
        case stop
    }

    /// The next entry of the page.
    ///
    /// - Parameter isFollowedByUnreadable: a run of unreadable entries is reported once, with its last one.
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

    /// The page has been taken. Returns the client's position, if that is the end of the log.
    mutating func finish(_ page: HistoryPage) -> Position? {
        guard case .reading(let reached, _) = state else { return nil }
        let end = page.position?.offset ?? 0
        // An empty page with more to come would be read for ever: only a trimmed log answers so, and says gap.
        let hasMore = reached.offset < end && (!page.entries.isEmpty || !page.continuity.isRecovered)
        state = .behind(reached, mustRead: hasMore || isDoubted)
        return reached.offset == end && !isDoubted ? reached : nil
    }
}
