import Broker
import NIOCore
import Sockets

/// One event loop's part of the gateway: its sessions by group, its clock, and the flush at the end of a fan-out.
///
/// Used on its loop only, so it needs no locks and no hop per connection.
final class Shard {
    let eventLoop: any EventLoop
    let index: Int
    let state: GatewayState
    /// The settings in force on this loop.
    private(set) var settings: GatewaySettings
    /// Made for the first client that compresses.
    private(set) lazy var deflater = MessageDeflater(settings.configuration.compression)
    private(set) lazy var inflater = MessageInflater(maximumMessageBytes: settings.configuration.maximumMessageBytes)
    private var groups: [GroupName: GroupMembers] = [:]
    private var revocations = Revocations()
    private var wheel = DeadlineWheel()
    private var pauses = ProofPauses()
    private var clock: RepeatedTask?
    /// Number of clients when the drain began.
    private var drainTotal = 0
    /// Transports with bytes that are written but not flushed.
    private var unflushed: ContiguousArray<any SessionTransport> = []
    private var flushIsDue = false
    /// Sessions whose cursors left a group during a walk over it, with the reason.
    private var left: [(session: Session, group: GroupName, why: Continuity)] = []
    private var open: [ConnectionID: any ConnectedClient] = [:]
    /// The most clients at once since memory was last given back.
    private var crowd = 0
    private static let crowdWorthTrimming = 2000

    init(_ state: GatewayState, eventLoop: any EventLoop, index: Int) {
        self.state = state
        settings = state.initial
        self.eventLoop = eventLoop
        self.index = index
    }

    func start() {
        eventLoop.preconditionInEventLoop()
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        clock = eventLoop.scheduleRepeatedTask(initialDelay: .seconds(1), delay: .seconds(1)) { _ in
            bound.value.second()
        }
    }

    /// Goes by other settings from the next event on. Connections that are open keep the routes that they came by.
    func adopt(_ settings: GatewaySettings) { self.settings = settings }

    func stop() {
        clock?.cancel()
        for client in open.values { client.cut() }
    }

    // MARK: Transports and groups

    func opened(_ transport: any ConnectedClient) {
        open[transport.session.id] = transport
        state.metrics.connections.add(1)
        state.metrics.opened.add()
    }

    func closed(_ transport: any ConnectedClient) {
        guard open.removeValue(forKey: transport.session.id) != nil else { return }
        state.metrics.connections.add(-1)
        state.metrics.closed.add()
        state.admission.leave(transport.slot)
    }

    var openCount: Int { open.count }

    /// One step of a drain: asks as many clients to reconnect elsewhere as the elapsed time requires.
    ///
    /// - Parameter progress: 0 at the beginning, 1 when every client must have been asked.
    func drain(progress: Double) {
        let still = open.values.filter(\.isOpen)
        drainTotal = max(drainTotal, still.count)
        let mayStay = Int((Double(drainTotal) * (1 - min(max(progress, 0), 1))).rounded(.down))
        for transport in still.prefix(max(still.count - mayStay, 0)) { transport.drain() }
    }

    /// Ends the selected clients for an operator. Visits every client of the loop.
    private func end(_ selection: ConnectionSelection) {
        if case .user(let user) = selection {
            revocations.end(user, at: .now())
            // One of the loops is enough.
            if index == 0 { settings.forget(user) }
        }
        for client in open.values where client.isOpen && client.slot.isAmong(selection) {
            state.metrics.revoked.add()
            client.end(.revoked)
        }
    }

    /// Whether the user's connections were ended after the handshake began.
    func wasRevoked(_ user: String, since began: NIODeadline) -> Bool { revocations.contains(user, since: began) }

    /// The group's sessions on this loop; created when the first one joins.
    func members(of group: GroupName) -> GroupMembers {
        if let members = groups[group] { return members }
        let members = GroupMembers(group: group)
        groups[group] = members
        return members
    }

    /// Forgets a group that has become empty.
    func tidy(_ members: GroupMembers) {
        if members.isEmpty { groups[members.group] = nil }
    }

    // MARK: Time

    func schedule(_ one: any DeadlineOwner, in seconds: Int) { wheel.enter(one, in: seconds) }
    func unschedule(_ one: any DeadlineOwner) { wheel.leave(one) }

    /// Tells the prover when its pause is over.
    func pause(_ prover: DeliveryProver) {
        if let wait = pauses.enter(prover, at: eventLoop.now) { endPauses(in: wait) }
    }

    private func endPauses(in wait: TimeAmount) {
        eventLoop.assumeIsolated().scheduleTask(in: wait) {
            let (over, next) = self.pauses.due(at: self.eventLoop.now)
            if let next { self.endPauses(in: next) }
            for prover in over { prover.pauseEnded() }
        }
    }

    /// One turn of the clock.
    func second() {
        flushIsDue = true
        revocations.forget(at: .now())
        for one in wheel.advance() {
            if let next = one.tick() { wheel.enter(one, in: next) }
        }
        flush()
        giveBackMemory()
    }

    /// Returns memory after a peak: the allocator and dictionaries keep the capacity they once needed.
    private func giveBackMemory() {
        crowd = max(crowd, open.count)
        guard crowd >= Self.crowdWorthTrimming, open.count < crowd / 8 else { return }
        crowd = open.count
        groups.releaseSlack()
        open.releaseSlack()
        ProcessMemory.giveBack()
    }

    // MARK: Deliveries

    func deliver(_ deliveries: [Delivery]) {
        eventLoop.assertInEventLoop()
        flushIsDue = true
        var count = 0
        var run: PublicationRun?
        for delivery in deliveries {
            if case .publication(let publication) = delivery {
                if run?.append(publication, limit: settings.configuration.maximumPendingBytes) == true { continue }
                if run != nil { count += fanOut(&run!, isLast: false) }
                run = PublicationRun(publication)
                continue
            }
            if run != nil { count += fanOut(&run!, isLast: false) }
            run = nil
            switch delivery {
            case .publication: break
            case .presence(let group, let entry, let joined):
                guard let members = groups[group] else { continue }
                let push = FrameWriter.text(CentrifugeReply.presence(group, .init(entry), joined: joined))
                for member in members.live { member.session.tellPresence(push) }
            case .direct(let connection, let json): count += direct(json, to: connection)
            case .end(let selection): end(selection)
            case .inbox(let group, let change):
                guard let members = groups[group] else { continue }
                for session in members.live.map(\.session) + members.behind { session.tellInbox(change, in: members) }
            case .mayHaveMissed(let group):
                guard let members = groups[group] else { continue }
                for session in members.live.map(\.session) + members.behind { session.mayHaveMissed(in: members) }
            case .lost(let group, let continuity, let position):
                guard let members = groups[group] else { continue }
                let hadMessages = members.last != nil
                members.last = continuity == .gap && position != .beginning ? position : nil
                for session in members.live.map(\.session) + members.behind {
                    session.lost(continuity, at: position, hadMessages: hadMessages, in: members)
                }
            }
        }
        if run != nil { count += fanOut(&run!, isLast: true) }
        state.metrics.delivered.add(count)
        walked()
        flush()
    }

    /// - Returns: how many were written to: one, or none.
    private func direct(_ json: ByteBuffer?, to connection: ConnectionID) -> Int {
        guard let client = open[connection], client.isOpen else { return 0 }
        if let json, client.session.direct(json) { return 1 }
        // It has no position, so a gap could not be told: the client learns of the loss by the end of its connection.
        state.metrics.slow.add()
        client.end(.slow)
        return 0
    }

    /// The session is to be told, after the walk, that it has left the group.
    func afterWalk(_ session: Session, _ group: GroupName, _ why: Continuity) { left.append((session, group, why)) }

    /// Call when no walk over a group is in progress.
    func walked() {
        guard !left.isEmpty else { return }
        let told = left
        left = []
        for (session, group, why) in told { session.tellLeft(group, why) }
    }

    /// - Parameter isLast: the sockets get nothing more in this turn, so they are written to now, while they are in the
    ///   processor's cache: with 10,000 of them a second walk would find none there.
    private func fanOut(_ run: inout PublicationRun, isLast: Bool) -> Int {
        guard let members = groups[run.encodings[0].publication.group] else { return 0 }
        var count = 0
        // From the end: when a session falls behind, the last one, already served, moves into its slot.
        var slot = members.live.count - 1
        while slot >= 0 {
            if members.deliver(&run, slot: slot, atOnce: isLast) {
                count += run.count
            } else {
                count += offer(&run, to: members.live[slot].session, of: members)
            }
            slot -= 1
        }
        if !run.isLogged {
            // Unlogged messages cannot be read later, so lagging sessions are offered them too.
            for session in members.behind { count += offer(&run, to: session, of: members) }
        }
        if let last = run.last { members.last = last }
        return count
    }

    /// Offers the publications one by one to a session that does not take the whole run.
    private func offer(_ run: inout PublicationRun, to session: Session, of members: GroupMembers) -> Int {
        var count = 0
        run.each { encodings in if session.offer(&encodings, of: members) { count += 1 } }
        if count > 0, members.tracking != .none { session.batchEnded() }
        return count
    }

    /// Called by a transport after a write. Flushes at the end of the fan-out, or soon if there is none.
    func wrote(_ transport: any SessionTransport) {
        unflushed.append(transport)
        guard !flushIsDue else { return }
        flushIsDue = true
        eventLoop.assumeIsolated().execute { self.flush() }
    }

    /// One flush per socket, however many messages were written to it.
    private func flush() {
        flushIsDue = false
        guard !unflushed.isEmpty else { return }
        let transports = unflushed
        unflushed.removeAll(keepingCapacity: true)
        for transport in transports { transport.flush() }
    }
}

@available(*, unavailable) extension Shard: Sendable {}
