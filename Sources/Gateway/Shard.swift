import Broker
import NIOCore

/// One event loop's part of the gateway: its sessions by group, its clock, and the flush at the end of a fan-out.
///
/// Everything in it is touched on its loop only: no lock, no hop per connection.
final class Shard {
    let eventLoop: any EventLoop
    let index: Int
    let state: GatewayState
    /// Made for the first client that compresses.
    private(set) lazy var deflater = MessageDeflater(state.configuration.compression)
    private(set) lazy var inflater = MessageInflater(maximumMessageBytes: state.configuration.maximumMessageBytes)
    private var groups: [GroupName: GroupMembers] = [:]
    private var revocations = Revocations()
    private var wheel = DeadlineWheel()
    private var clock: RepeatedTask?
    /// Clients when the drain began.
    private var drainTotal = 0
    /// Transports with bytes that are written but not flushed.
    private var unflushed: ContiguousArray<any SessionTransport> = []
    private var flushIsDue = false
    private var open: [ObjectIdentifier: any ConnectedClient] = [:]

    init(_ state: GatewayState, eventLoop: any EventLoop, index: Int) {
        self.state = state
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

    func stop() {
        clock?.cancel()
        for client in open.values { client.cut() }
    }

    // MARK: Transports and groups

    func opened(_ transport: any ConnectedClient) {
        open[ObjectIdentifier(transport)] = transport
        state.metrics.connections.add(1)
        state.metrics.opened.add()
    }

    func closed(_ transport: any ConnectedClient) {
        guard open.removeValue(forKey: ObjectIdentifier(transport)) != nil else { return }
        state.metrics.connections.add(-1)
        state.metrics.closed.add()
        state.admission.leave(transport.ticket)
    }

    var openCount: Int { open.count }

    /// One step of a drain: tells as many clients to come back elsewhere as the time that has passed asks for.
    ///
    /// - Parameter progress: 0 at the beginning, 1 when everybody must have been told.
    func drain(progress: Double) {
        let still = open.values.filter(\.isOpen)
        drainTotal = max(drainTotal, still.count)
        let mayStay = Int((Double(drainTotal) * (1 - min(max(progress, 0), 1))).rounded(.down))
        for transport in still.prefix(max(still.count - mayStay, 0)) { transport.drain() }
    }

    /// What an operator ends: looks at every client of the loop, once.
    private func end(_ selection: ConnectionSelection) {
        if case .user(let user) = selection {
            revocations.end(user, at: .now())
            // One of the loops is enough.
            if index == 0 { state.forget(user) }
        }
        for client in open.values where client.isOpen && client.ticket.isAmong(selection) {
            state.metrics.revoked.add()
            client.end(.revoked)
        }
    }

    /// Whether the user's connections were ended after a handshake had begun.
    func wasRevoked(_ user: String, since began: NIODeadline) -> Bool { revocations.contains(user, since: began) }

    /// The group's sessions of this loop; made when the first one joins.
    func members(of group: GroupName) -> GroupMembers {
        if let members = groups[group] { return members }
        let members = GroupMembers(group: group)
        groups[group] = members
        return members
    }

    /// Forgets a group that nobody is in.
    func tidy(_ members: GroupMembers) {
        if members.isEmpty { groups[members.group] = nil }
    }

    // MARK: Time

    func schedule(_ one: any Ticking, in seconds: Int) { wheel.enter(one, in: seconds) }
    func unschedule(_ one: any Ticking) { wheel.leave(one) }

    private func second() {
        flushIsDue = true
        revocations.forget(at: .now())
        for one in wheel.advance() {
            if let next = one.tick() { wheel.enter(one, in: next) }
        }
        flush()
    }

    // MARK: Deliveries

    func deliver(_ deliveries: [Delivery]) {
        eventLoop.assertInEventLoop()
        flushIsDue = true
        var count = 0
        for delivery in deliveries {
            switch delivery {
            case .publication(let publication):
                if let members = groups[publication.group] { count += deliver(publication, to: members) }
            case .presence(let group, let entry, let joined):
                guard let members = groups[group] else { continue }
                let push = FrameWriter.text(CentrifugeReply.presence(group, .init(entry), joined: joined))
                for session in members.live { session.tellPresence(push) }
            case .end(let selection): end(selection)
            case .lost(let group, let continuity, let position):
                guard let members = groups[group] else { continue }
                members.last = nil
                for session in members.live { session.lost(continuity, at: position, in: members) }
            }
        }
        state.metrics.delivered.add(count)
        flush()
    }

    private func deliver(_ publication: Publication, to members: GroupMembers) -> Int {
        var encodings = Encodings(publication)
        var count = 0
        // From the end: a session that falls behind leaves, and the last one, which has been served, takes its slot.
        var slot = members.live.count - 1
        while slot >= 0 {
            let session = members.live[slot]
            if session.deliver(&encodings, of: members) {
                count += 1
            } else if publication.isLogged, var position = publication.position {
                position.offset -= 1
                session.fellBehind(at: position, in: members)
            } else if session.deliverUnlogged(&encodings, of: members) {
                count += 1
            }
            slot -= 1
        }
        if !publication.isLogged {
            // What cannot be read later is for those who lag, too.
            for session in members.behind where session.deliverUnlogged(&encodings, of: members) { count += 1 }
        }
        if let position = publication.position { members.last = position }
        return count
    }

    /// The flush comes at the end of the fan-out, or soon: an answer to one client waits for nobody.
    func wrote(_ transport: any SessionTransport) {
        unflushed.append(transport)
        guard !flushIsDue else { return }
        flushIsDue = true
        eventLoop.assumeIsolated().execute { self.flush() }
    }

    /// One flush a socket, however many messages were written to it.
    private func flush() {
        flushIsDue = false
        guard !unflushed.isEmpty else { return }
        let transports = unflushed
        unflushed.removeAll(keepingCapacity: true)
        for transport in transports { transport.flush() }
    }
}

@available(*, unavailable) extension Shard: Sendable {}

/// The shard as the backplane sees it: one hop per loop for a batch.
struct ShardOutlet: Outlet {
    let shard: NIOLoopBound<Shard>
    let eventLoop: any EventLoop

    func deliver(_ deliveries: [Delivery]) {
        if eventLoop.inEventLoop {
            shard.value.deliver(deliveries)
        } else {
            eventLoop.execute { shard.value.deliver(deliveries) }
        }
    }
}
