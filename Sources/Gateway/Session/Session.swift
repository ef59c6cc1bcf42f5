import Broker
import NIOCore

/// One client in its groups, whatever its protocol: passes messages on while it keeps up, and feeds it from the log when not.
///
/// Lives on its shard's loop; owned by its transport.
final class Session {
    let id: ConnectionID
    let form: WireForm
    private(set) var groups: [GroupName]
    private let shard: Shard
    private unowned let transport: any SessionTransport
    private var memberships: [SessionMembership] = []
    private var isEnded = false
    /// Made for the first message of a group with receipts; nil: nothing is to be proven.
    private var prover: DeliveryProver?
    /// Since when a full socket has kept it behind; nil: it keeps up.
    private(set) var slowSince: NIODeadline?

    init(id: ConnectionID, form: WireForm, groups: [GroupName], shard: Shard, transport: any SessionTransport) {
        self.id = id
        self.form = form
        self.groups = groups
        self.shard = shard
        self.transport = transport
    }

    /// The cursors that a client brings back prove that it has everything up to there. Call when the transport is open.
    func confirm(_ starts: [Start]) {
        for (group, start) in zip(groups, starts) where start.isResumption && start.tracking != .none {
            shard.state.backplane.confirm(
                Confirmation(group: group, user: transport.user, position: start.position))
        }
    }

    /// Call when the transport is open and every group has been joined.
    ///
    /// - Parameter hold: a hold on `groups`.
    func open(_ hold: consuming JoinHold, at starts: some Sequence<Start>) {
        for (members, start) in zip(hold.members, starts) { enter(members, at: start) }
        proceedAll()
    }

    /// Adds groups to an open session.
    ///
    /// - Parameter hold: a hold on the new groups.
    func add(_ hold: consuming JoinHold, at starts: [Start]) {
        for (members, start) in zip(hold.members, starts) {
            groups.append(members.group)
            enter(members, at: start)
            proceed(memberships.count - 1)
        }
    }

    private func enter(_ members: GroupMembers, at start: Start) {
        members.tracking = start.tracking
        let cursor = ClientCursor(
            at: start.position, isResumption: start.isResumption, subscribesAgain: form == .centrifuge)
        memberships.append(SessionMembership(members: members, cursor: cursor))
        members.addBehind(self)
    }

    /// Leaves one group.
    func remove(_ group: GroupName) {
        guard let index = groups.firstIndex(of: group) else { return }
        leave(memberships.remove(at: index))
        prover?.left(group)
        groups.remove(at: index)
        shard.state.backplane.groupDiscard(id, from: group, outlet: shard.index)
    }

    private func leave(_ membership: SessionMembership) {
        if let slot = membership.slot {
            _ = membership.members.removeLive(slot: slot)
        } else {
            membership.members.removeBehind(self)
        }
        if case .reading(_, let ticket) = membership.state { shard.state.backplane.giveUp(ticket) }
        shard.tidy(membership.members)
    }

    /// Call when the client has disconnected. Leaves all groups.
    func end() {
        guard !isEnded else { return }
        isEnded = true
        prover?.end()
        for membership in memberships { leave(membership) }
        memberships = []
        for group in groups { shard.state.backplane.groupDiscard(id, from: group, outlet: shard.index) }
    }

    /// The last position shown to the client in each of its groups, in order.
    var shown: [Position?] { memberships.map(\.shown) }

    /// The groups that keep what their users have read.
    var inboxes: [GroupName] { memberships.filter { $0.members.tracking == .inbox }.map(\.members.group) }

    private func index(in members: GroupMembers) -> Int? { memberships.firstIndex { $0.members === members } }

    /// Called when another session's departure has moved this one to a different slot.
    func moved(to slot: Int, in members: GroupMembers) {
        guard let index = index(in: members) else {
            preconditionFailure("a slot of a session that is not in the group")
        }
        memberships[index].slot = slot
    }

    // MARK: Deliveries

    /// Offers one publication to the group's cursor, and performs its answer.
    ///
    /// - Returns: whether the publication was written.
    func offer(_ encodings: inout Encodings, of members: GroupMembers) -> Bool {
        guard transport.isOpen, let index = index(in: members) else { return false }
        let (position, isLogged) = (encodings.publication.position, encodings.publication.isLogged)
        switch memberships[index].cursor.offer(position, isLogged: isLogged, room: room) {
        case .skip: return false
        case .take(let missed, let dropped):
            tellMissed(missed, in: members)
            tellDropped(dropped, in: members)
            write(&encodings)
            if members.tracking != .none, let position { wrote(position, in: members) }
            return true
        case .drop:
            shard.state.metrics.dropped.add()
            return false
        case .fallBehind:
            fellBehind(index)
            return false
        case .subscribeAgain:
            tell(.historyChanged, index)
            return false
        }
    }

    private var room: Room {
        if transport.hasRoom { return .free }
        return transport.pendingBytes < shard.settings.configuration.maximumUnloggedBytes ? .unloggedOnly : .none
    }

    private func write(_ encodings: inout Encodings) {
        if form == .eventStream, groups.count > 1 {
            // The event id covers several groups, so no other client has the same bytes.
            transport.write(EventWriter.message(encodings.publication.json, id: EventCursor.text(shown)))
        } else {
            transport.write(
                transport.deflateWindow.map { encodings.bytes(for: form, window: $0, by: shard.deflater) }
                    ?? encodings.bytes(for: form))
        }
    }

    /// A message of a group with receipts was written. Call `batchEnded` after the last one of a batch.
    func wrote(_ position: Position, in members: GroupMembers) { wrote(position, in: members.group) }

    /// Messages up to the position were written in a reply.
    func wrote(_ position: Position, in group: GroupName) {
        // A stream's client proves it by the cursor that it brings back.
        guard form != .eventStream else { return }
        let prover = self.prover ?? DeliveryProver(transport, shard: shard)
        self.prover = prover
        prover.wrote(position, in: group)
    }

    /// Asks for the proof of what was written.
    func batchEnded() { prover?.batchEnded() }

    func pong(_ payload: ByteBuffer) { prover?.pong(payload) }

    /// The keep-alive's ping where it can prove something; nil: it needs no payload.
    func keepAlivePing() -> ByteBuffer? { prover?.keepAlivePing() }

    /// A message for this connection alone: no group has it, and no log.
    ///
    /// - Returns: whether there was room for it.
    func direct(_ json: ByteBuffer) -> Bool {
        guard room != .none else { return false }
        switch form {
        case .plain: transport.write(FrameWriter.text(json))
        case .centrifuge: transport.write(FrameWriter.text(CentrifugeReply.message(json)))
        case .eventStream: transport.write(EventWriter.message(json, id: nil))
        case .inbox, .namedInbox: transport.write(FrameWriter.text(InboxFrame.message(json, id: nil, of: nil)))
        }
        return true
    }

    /// The socket was full when a publication came: from the one before on, the log has to serve.
    private func fellBehind(_ index: Int) {
        guard let slot = memberships[index].slot else { return }
        let members = memberships[index].members
        var cursor = memberships[index].cursor
        cursor.shown = members.removeLive(slot: slot)
        memberships[index].slot = nil
        memberships[index].cursor = cursor
        members.addBehind(self)
        if slowSince == nil {
            slowSince = .now()
            shard.state.metrics.fellBehind.add()
        }
    }

    /// Join and leave events exist only in the centrifuge protocol; a lagging client misses them.
    func tellPresence(_ push: ByteBuffer) {
        if form == .centrifuge, transport.isWritable { transport.write(push) }
    }

    /// A change of a user's read state.
    func tellInbox(_ change: ReadStateChange, in members: GroupMembers) {
        switch form {
        case .inbox, .namedInbox, .eventStream:
            if transport.isOpen { transport.tellInbox(members.group, change) }
        case .plain, .centrifuge: break
        }
    }

    /// Only `tocsin.v1` tells what has been read already. No other client has the same bytes.
    private func isRead(_ publication: Publication) -> Bool {
        guard form == .inbox || form == .namedInbox, let position = publication.position else { return false }
        return transport.isRead(position, in: publication.group)
    }

    private func writeRead(_ publication: Publication) {
        let text = InboxFrame.message(publication, form, isRead: true)
        let compressed = transport.deflateWindow.flatMap { shard.deflater.frame(text: text, window: $0) }
        transport.write(compressed ?? FrameWriter.text(text))
    }

    // MARK: Losses

    /// A message without a position may have been missed.
    func mayHaveMissed(in members: GroupMembers) {
        if let index = index(in: members), memberships[index].cursor.mayHaveMissed() { tell(.gap, index) }
    }

    /// Continuity of the group was lost.
    ///
    /// - Parameter hadMessages: the group had received messages.
    func lost(_ continuity: Continuity, at position: Position, hadMessages: Bool, in members: GroupMembers) {
        guard let index = index(in: members) else { return }
        let isTold = memberships[index].cursor.lost(continuity, at: position, hadMessages: hadMessages)
        if isTold { tell(continuity, index) } else { proceed(index) }
    }

    /// Reports a loss. A client that must subscribe again leaves the group, so that has to wait until the walk is over.
    private func tell(_ continuity: Continuity, _ index: Int) {
        let group = memberships[index].members.group
        prover?.missed(group)
        if memberships[index].state == .left {
            shard.afterWalk(self, group, continuity)
        } else {
            transport.tellLost(group, continuity)
        }
    }

    /// Called after the walk in which one of this session's cursors has left its group.
    func tellLeft(_ group: GroupName, _ continuity: Continuity) {
        if !isEnded, groups.contains(group) { transport.tellLost(group, continuity) }
    }

    /// Unlogged messages passed while the client, or the gateway, was away.
    private func tellMissed(_ count: UInt64, in members: GroupMembers) {
        guard count > 0 else { return }
        prover?.missed(members.group)
        shard.state.metrics.dropped.add(Int(clamping: count))
        transport.tellDropped(members.group, Int(clamping: count))
    }

    /// Unlogged messages were dropped because the socket was full.
    private func tellDropped(_ count: Int, in members: GroupMembers) {
        if count > 0 { transport.tellDropped(members.group, count) }
    }

    // MARK: Catching up

    /// Advances every lagging cursor. Called when the socket has room or a page has been written.
    func proceedAll() {
        for index in memberships.indices {
            if memberships[index].dropped > 0 {
                tellDropped(memberships[index].cursor.takeDropped(), in: memberships[index].members)
            }
            proceed(index)
        }
    }

    private func proceed(_ index: Int) {
        guard transport.isWritable else { return }
        let members = memberships[index].members
        switch memberships[index].cursor.proceed(last: members.last) {
        case .wait: break
        case .read(let cursor, let ticket): read(members, since: cursor, ticket)
        case .enterLive: enterLive(index)
        }
    }

    /// Reads no more than the socket has room for; the rest of a longer page would have to be read again.
    private func read(_ members: GroupMembers, since cursor: Position, _ ticket: ReadTicket) {
        let last = members.last
        let room = shard.settings.configuration.maximumPendingBytes - transport.pendingBytes
        let bound = NIOLoopBound((self, members), eventLoop: shard.eventLoop)
        let page = shard.state.backplane.read(members.group, since: cursor, bytes: max(room, 1), ticket)
        page.hop(to: shard.eventLoop).whenComplete { result in
            let (session, members) = bound.value
            switch result {
            case .success(let page): session.arrived(page, ticket, in: members, whenLast: last)
            case .failure: session.readAgainLater(ticket, in: members)
            }
        }
    }

    /// Redis did not answer: retry soon, with the cursor unchanged.
    private func readAgainLater(_ ticket: ReadTicket, in members: GroupMembers) {
        guard let index = index(in: members), memberships[index].cursor.isReading(ticket) else { return }
        shard.eventLoop.assumeIsolated().scheduleTask(in: .milliseconds(500)) {
            guard let index = self.index(in: members) else { return }
            self.memberships[index].cursor.readAgain(ticket)
            self.proceed(index)
        }
    }

    /// - Parameter last: the group's last publication on this loop when the page was requested.
    private func arrived(
        _ page: HistoryPage, _ ticket: ReadTicket, in members: GroupMembers, whenLast last: Position?
    ) {
        // The group may have been left meanwhile, and joined again.
        guard let index = index(in: members) else { return }
        switch memberships[index].cursor.arrived(page, ticket) {
        case .stale: return
        case .missed(let count):
            tellMissed(count, in: members)
            proceed(index)
        case .enterLive(let loss):
            if let loss { tell(loss, index) }
            enterLive(index)
        case .entries(let loss):
            if let loss { tell(loss, index) }
            take(page.entries, index)
            transport.flush()
            let end = memberships[index].cursor.finish(page)
            if let end, let last, last == members.last, !last.isComparable(to: end) {
                // Redis was restarted and nothing has come since: a cursor at the end of the log is up to date, and need not ask
                // again.
                members.last = end
            }
            proceed(index)
        }
        shard.walked()
    }

    private func take(_ entries: [HistoryEntry], _ index: Int) {
        let members = memberships[index].members
        var delivered = 0
        defer {
            shard.state.metrics.delivered.add(delivered)
            batchEnded()
        }
        for (at, entry) in entries.enumerated() {
            let isFollowed = at + 1 < entries.count && entries[at + 1].isUnreadable
            switch memberships[index].cursor.take(
                entry, isFollowedByUnreadable: isFollowed, hasRoom: transport.hasRoom)
            {
            case .pass: break
            case .stop: return
            case .tell(let loss): tell(loss, index)
            case .write:
                guard let publication = entry.publication else { break }
                var encodings = members.encodings(of: publication)
                if isRead(publication) {
                    writeRead(publication)
                } else {
                    write(&encodings)
                }
                if members.tracking != .none, let position = publication.position { wrote(position, in: members) }
                members.keep(encodings, shard.eventLoop)
                delivered += 1
            }
        }
    }

    private func enterLive(_ index: Int) {
        let members = memberships[index].members
        members.removeBehind(self)
        let takesRuns =
            form == .eventStream
            ? groups.count == 1 : transport.deflateWindow == nil && members.tracking == .none
        memberships[index].slot = members.addLive(
            LiveMember(
                session: self, transport: transport, form: form, takesRuns: takesRuns,
                shown: memberships[index].shown))
        if memberships.allSatisfy({ $0.slot != nil }) { slowSince = nil }
    }
}

@available(*, unavailable) extension Session: Sendable {}
