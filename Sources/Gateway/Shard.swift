import Broker
import NIOCore

/// One event loop's part of the gateway: its sessions by group, its clock, and the flush at the end of a fan-out.
///
/// Everything in it is touched on its loop only: no lock, no hop per connection.
final class Shard {
    let eventLoop: any EventLoop
    let index: Int
    let state: GatewayState
    private var groups: [GroupName: GroupMembers] = [:]
    private var wheel = DeadlineWheel()
    private var clock: RepeatedTask?
    /// Sessions with bytes that are written but not flushed.
    private var unflushed: ContiguousArray<WebSocketSession> = []
    private var open: [ObjectIdentifier: WebSocketSession] = [:]

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

    func stop() { clock?.cancel() }

    // MARK: Sessions

    func opened(_ session: WebSocketSession, groups names: [GroupName]) -> [(GroupName, GroupMembers, Int)] {
        open[ObjectIdentifier(session)] = session
        return names.map { name in
            let members = groups[name] ?? GroupMembers()
            groups[name] = members
            return (name, members, members.add(session))
        }
    }

    func closed(_ session: WebSocketSession, memberships: [(GroupName, GroupMembers, Int)]) {
        open[ObjectIdentifier(session)] = nil
        for (name, members, slot) in memberships {
            members.remove(slot: slot)
            if members.isEmpty { groups[name] = nil }
        }
    }

    var openCount: Int { open.count }

    /// One step of a drain: its share of the sessions is told to come back elsewhere.
    func drainSome(stepsLeft: Int) {
        let still = open.values.filter(\.isOpen)
        let share = (still.count + stepsLeft - 1) / stepsLeft
        for session in still.prefix(share) { session.close(.serviceRestart, "the gateway restarts; connect again") }
    }

    // MARK: Time

    func schedule(_ one: any Ticking, in seconds: Int) { wheel.enter(one, in: seconds) }
    func unschedule(_ one: any Ticking) { wheel.leave(one) }

    private func second() {
        for one in wheel.advance() {
            if let next = one.tick() { wheel.enter(one, in: next) }
        }
        flush()
    }

    // MARK: Deliveries

    func deliver(_ publications: [Publication]) {
        eventLoop.assertInEventLoop()
        var count = 0
        for publication in publications {
            guard let members = groups[publication.group] else { continue }
            // One encoding for all sockets of the loop: server frames are not masked (RFC 6455 section 5.1).
            let frame = FrameWriter.text(publication.json)
            for session in members.sessions { session.deliver(frame) }
            count += members.sessions.count
        }
        state.metrics.delivered.add(count)
        flush()
    }

    func wrote(_ session: WebSocketSession) { unflushed.append(session) }

    /// One flush a socket, however many messages were written to it.
    private func flush() {
        guard !unflushed.isEmpty else { return }
        let sessions = unflushed
        unflushed.removeAll(keepingCapacity: true)
        for session in sessions { session.flush() }
    }
}

@available(*, unavailable) extension Shard: Sendable {}

/// The shard as the backplane sees it: one hop per loop for a batch.
struct ShardOutlet: Outlet {
    let shard: NIOLoopBound<Shard>
    let eventLoop: any EventLoop

    func deliver(_ publications: [Publication]) {
        if eventLoop.inEventLoop {
            shard.value.deliver(publications)
        } else {
            eventLoop.execute { shard.value.deliver(publications) }
        }
    }
}
