import Broker
import NIOCore

/// One client in its groups, whatever it speaks: deliveries while it keeps up, a lagging cursor while it does not.
///
/// Lives on its shard's loop, owned by its transport.
final class Session {
    let id: ConnectionID
    let form: WireForm
    private(set) var groups: [GroupName]
    private let shard: Shard
    private unowned let transport: any SessionTransport
    private var memberships: [SessionMembership] = []
    private var isEnded = false
    /// Since when it has been behind because its socket was full; nil: it keeps up.
    private(set) var slowSince: NIODeadline?

    init(id: ConnectionID, form: WireForm, groups: [GroupName], shard: Shard, transport: any SessionTransport) {
        self.id = id
        self.form = form
        self.groups = groups
        self.shard = shard
        self.transport = transport
    }

    /// Where a session begins in a group.
    struct Start {
        var position: Position
        /// The client was here before and wants what came since.
        var isResumption: Bool
    }

    /// Its transport stands and all groups are joined.
    func open(at starts: [Start]) {
        for (group, start) in zip(groups, starts) {
            let members = shard.members(of: group)
            members.joining -= 1
            memberships.append(SessionMembership(members: members, start: start))
            members.addBehind(self)
        }
        proceedAll()
    }

    /// One more group, of which the transport has joined the backplane already.
    func add(_ group: GroupName, at start: Start) {
        let members = shard.members(of: group)
        members.joining -= 1
        groups.append(group)
        memberships.append(SessionMembership(members: members, start: start))
        members.addBehind(self)
        proceed(memberships.count - 1)
    }

    /// Leaves one group.
    func remove(_ group: GroupName) {
        guard let index = groups.firstIndex(of: group) else { return }
        leave(memberships.remove(at: index))
        groups.remove(at: index)
        shard.state.backplane.groupDiscard(id, from: group, outlet: shard.index)
    }

    private func leave(_ membership: SessionMembership) {
        switch membership.place {
        case .live(let slot): _ = membership.members.removeLive(slot: slot)
        case .behind: membership.members.removeBehind(self)
        case .reading(_, let ticket):
            membership.members.removeBehind(self)
            shard.state.backplane.giveUp(ticket)
        }
        shard.tidy(membership.members)
    }

    /// The client is gone.
    func end() {
        guard !isEnded else { return }
        isEnded = true
        for membership in memberships { leave(membership) }
        memberships = []
        for group in groups { shard.state.backplane.groupDiscard(id, from: group, outlet: shard.index) }
    }

    /// The positions that the client has been shown, in the order of its groups.
    var shown: [Position?] { memberships.map(\.shown) }

    private func index(in members: GroupMembers) -> Int {
        guard let index = indexIfMember(of: members) else {
            preconditionFailure("a session was looked for in a group that it is not in")
        }
        return index
    }

    private func indexIfMember(of members: GroupMembers) -> Int? {
        memberships.firstIndex { $0.members === members }
    }

    /// nil when the group was left meanwhile, and perhaps joined again: then the page is nobody's any more.
    private func indexIfReading(_ members: GroupMembers, _ ticket: ReadTicket) -> Int? {
        guard let index = indexIfMember(of: members), case .reading(_, ticket) = memberships[index].place else {
            return nil
        }
        return index
    }

    func place(_ place: SessionMembership.Place, in members: GroupMembers) {
        memberships[index(in: members)].place = place
    }

    // MARK: Deliveries

    func isLive(in members: GroupMembers) -> Bool {
        guard let index = indexIfMember(of: members), case .live = memberships[index].place else { return false }
        return true
    }

    /// One publication of a group in which this session is live. False: it could not be taken.
    func deliver(_ encodings: inout Encodings, of members: GroupMembers) -> Bool {
        guard transport.hasRoom else { return false }
        write(&encodings, membership: index(in: members))
        return true
    }

    /// What the client has seen is never sent again: what the log gave it may still be on its way here.
    ///
    /// - Returns: whether it was written.
    @discardableResult
    private func write(_ encodings: inout Encodings, membership index: Int) -> Bool {
        if let position = encodings.publication.position {
            if let shown = memberships[index].shown {
                if position.isComparable(to: shown) {
                    if position.offset <= shown.offset { return false }
                    if !encodings.publication.isLogged { tellMissed(position.offset - shown.offset - 1, index) }
                } else if form == .centrifuge, encodings.publication.isLogged {
                    // Its SDK keeps the old history with new offsets, and could not recover from that: it subscribes
                    // again instead, which recovers, and learns the new one.
                    transport.tellLost(memberships[index].members.group, .historyChanged)
                    return false
                } else if shown == .beginning, !encodings.publication.isLogged, position.offset > 0 {
                    tellMissed(position.offset - 1, index)
                }
            }
            memberships[index].shown = position
        }
        if form == .eventStream, groups.count > 1 {
            // Its cursor is over several groups: nobody else's event has the same id.
            transport.write(EventWriter.message(encodings.publication.json, id: EventCursor.text(shown)))
        } else {
            transport.write(
                transport.deflateWindow.map { encodings.bytes(for: form, window: $0, by: shard.deflater) }
                    ?? encodings.bytes(for: form))
        }
        return true
    }

    /// A publication that no log keeps, and a socket that is full: it is queued all the same up to a bound of its own, and
    /// dropped above that.
    func deliverUnlogged(_ encodings: inout Encodings, of members: GroupMembers) -> Bool {
        guard let index = indexIfMember(of: members) else { return false }
        guard transport.pendingBytes < shard.state.configuration.maximumUnloggedBytes else {
            memberships[index].dropped += 1
            if let position = encodings.publication.position { memberships[index].shown = position }
            shard.state.metrics.dropped.add()
            return false
        }
        if memberships[index].dropped > 0 { tellDropped(index) }
        write(&encodings, membership: index)
        return true
    }

    /// Before the next message of the group, or as soon as the socket has room.
    private func tellDropped() {
        for index in memberships.indices where memberships[index].dropped > 0 { tellDropped(index) }
    }

    private func tellDropped(_ index: Int) {
        transport.tellDropped(memberships[index].members.group, memberships[index].dropped)
        memberships[index].dropped = 0
    }

    /// Messages that no log keeps went by while the client, or the gateway, was away.
    private func tellMissed(_ count: UInt64, _ index: Int) {
        guard count > 0 else { return }
        shard.state.metrics.dropped.add(Int(clamping: count))
        transport.tellDropped(memberships[index].members.group, Int(clamping: count))
    }

    /// The socket was full when a publication came: from the one before on, the log has to serve.
    func fellBehind(at position: Position, in members: GroupMembers) {
        guard let index = indexIfMember(of: members), case .live(let slot) = memberships[index].place else { return }
        let shown = members.removeLive(slot: slot)
        memberships[index].place = .behind(position, mustRead: true)
        memberships[index].shown = shown
        members.addBehind(self)
        if slowSince == nil {
            slowSince = .now()
            shard.state.metrics.fellBehind.add()
        }
    }

    /// Only the centrifuge protocol has words for who comes and goes; a client that lags misses it.
    func tellPresence(_ push: ByteBuffer) {
        if form == .centrifuge, transport.isWritable { transport.write(push) }
    }

    /// Something that had no position may have gone by: where the client stands is not changed by it.
    func mayHaveMissed(in members: GroupMembers) {
        guard indexIfMember(of: members) != nil else { return }
        transport.tellLost(members.group, .gap)
    }

    /// Continuity of the group was lost. Who has been told stands at the position; who stands beyond a gap already has
    /// nothing before it to miss.
    func lost(_ continuity: Continuity, at position: Position, in members: GroupMembers) {
        if let index = indexIfMember(of: members) {
            if continuity == .gap, let shown = memberships[index].shown, position.isComparable(to: shown),
                position.offset <= shown.offset
            {
                return
            }
            memberships[index].shown = position
        }
        transport.tellLost(members.group, continuity)
    }

    // MARK: Catching up

    /// The socket has room, or a page has been written: the next step of every lagging cursor.
    func proceedAll() {
        tellDropped()
        for index in memberships.indices { proceed(index) }
    }

    private func proceed(_ index: Int) {
        guard !isEnded, case .behind(let cursor, let mustRead) = memberships[index].place, transport.isWritable else {
            return
        }
        let members = memberships[index].members
        let hasMore = members.last.map { !(cursor.isComparable(to: $0) && cursor.offset >= $0.offset) } ?? false
        if mustRead || hasMore { return read(index, since: cursor) }
        enterLive(index)
        if memberships.allSatisfy({ if case .live = $0.place { true } else { false } }) { slowSince = nil }
    }

    /// As much as the socket has room for: the rest of a longer page would be read again.
    private func read(_ index: Int, since cursor: Position) {
        let ticket = ReadTicket()
        memberships[index].place = .reading(cursor, ticket)
        let members = memberships[index].members
        let last = members.last
        let room = shard.state.configuration.maximumPendingBytes - transport.pendingBytes
        let bound = NIOLoopBound((self, members), eventLoop: shard.eventLoop)
        let page = shard.state.backplane.read(members.group, since: cursor, bytes: max(room, 1), ticket)
        page.hop(to: shard.eventLoop).whenComplete { result in
            let (session, members) = bound.value
            switch result {
            case .success(let page): session.arrived(page, ticket, in: members, whenLast: last)
            case .failure: session.readAgainLater(since: cursor, ticket, in: members)
            }
        }
    }

    /// Redis did not answer; the cursor keeps.
    private func readAgainLater(since cursor: Position, _ ticket: ReadTicket, in members: GroupMembers) {
        guard indexIfReading(members, ticket) != nil else { return }
        shard.eventLoop.assumeIsolated().scheduleTask(in: .milliseconds(500)) {
            guard let index = self.indexIfReading(members, ticket) else { return }
            self.memberships[index].place = .behind(cursor, mustRead: true)
            self.proceed(index)
        }
    }

    /// - Parameter last: the group's last publication here when the page was asked for.
    private func arrived(
        _ page: HistoryPage, _ ticket: ReadTicket, in members: GroupMembers, whenLast last: Position?
    ) {
        guard let index = indexIfReading(members, ticket) else { return }
        var reached = page.position ?? .beginning
        let end = reached.offset
        if page.continuity == .liveOnly {
            // What has come meanwhile was shown, and told of, already.
            let shown = memberships[index].shown.flatMap { $0.isComparable(to: reached) ? $0.offset : nil } ?? 0
            let known = max(page.proven, shown)
            if end > known {
                tellMissed(end - known, index)
                memberships[index].shown = reached
            }
            return settle(index, at: reached, mustRead: false)
        }
        reached.offset = page.proven
        if !page.continuity.isRecovered {
            memberships[index].shown = reached
            transport.tellLost(members.group, page.continuity)
            // Being told may have ended the session, or taken it out of the group.
            guard indexIfMember(of: members) == index else { return }
        }
        if page.position == nil {
            // Nothing was ever sent under the group's new key: whatever comes is new.
            memberships[index].place = .behind(reached, mustRead: false)
            return becomeLive(index)
        }
        var delivered = 0
        defer { shard.state.metrics.delivered.add(delivered) }
        for (at, entry) in page.entries.enumerated() {
            guard transport.hasRoom else {
                if indexIfMember(of: members) == index { settle(index, at: reached, mustRead: true) }
                return
            }
            if entry.isUnreadable {
                reached.offset = entry.offset
                // One loss for a run of unreadable messages.
                if at + 1 < page.entries.count, page.entries[at + 1].isUnreadable { continue }
                lost(.gap, at: reached, in: members)
                guard indexIfMember(of: members) == index else { return }
                continue
            }
            if let publication = entry.publication {
                var encodings = members.encodings(of: publication)
                if write(&encodings, membership: index) { delivered += 1 }
                members.keep(encodings, shard.eventLoop)
                // A new history may have taken a centrifuge client out of the group.
                guard indexIfMember(of: members) == index else { return }
            }
            reached.offset = entry.offset
        }
        transport.flush()
        // The flush may have found that the client is gone.
        guard indexIfMember(of: members) == index else { return }
        if reached.offset == end, let last, last == members.last, !last.isComparable(to: reached) {
            // Redis was restarted and nothing has come since: who stands at the log's end is not behind, and need not ask
            // again.
            members.last = reached
        }
        // An empty page with more to come would be read for ever: only a trimmed log answers so, and says gap.
        settle(
            index, at: reached,
            mustRead: reached.offset < end && (!page.entries.isEmpty || !page.continuity.isRecovered))
    }

    private func settle(_ index: Int, at position: Position, mustRead: Bool) {
        memberships[index].place = .behind(position, mustRead: mustRead)
        proceed(index)
    }

    private func becomeLive(_ index: Int) {
        guard !isEnded, case .behind = memberships[index].place else { return }
        enterLive(index)
    }

    private func enterLive(_ index: Int) {
        let members = memberships[index].members
        members.removeBehind(self)
        let takesRuns = transport.deflateWindow == nil && (form != .eventStream || groups.count == 1)
        let slot = members.addLive(
            LiveMember(
                session: self, transport: transport, form: form, takesRuns: takesRuns,
                shown: memberships[index].shown))
        memberships[index].place = .live(slot)
    }
}

@available(*, unavailable) extension Session: Sendable {}
