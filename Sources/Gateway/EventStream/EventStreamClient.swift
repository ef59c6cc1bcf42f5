import Broker
import NIOCore
import Sockets

/// One client of server-sent events: owns its socket, and is its session's transport.
///
/// The response has no length and ends with the connection. Lives on its shard's loop.
final class EventStreamClient: ConnectedClient, SessionTransport {
    /// Seconds between comments on an idle stream; shorter than any proxy's idle time-out.
    private static let commentSeconds = 15
    /// Seconds that the client gets to take what was said last.
    private static let farewellSeconds = 2

    private let shard: Shard
    private let socket: any StreamSocket
    private(set) var session: Session!
    private let starts: [Session.Start]
    /// nil once the session is open.
    private var joining: Joining?
    /// Groups whose cursor in the request was unreadable; reported to the client when the stream begins.
    private let unreadable: [GroupName]
    /// nil: no group of the stream has an inbox.
    private var states: InboxStates?
    /// Inboxes whose state is to be told when there is room.
    private var owed: Set<GroupName> = []
    private var isUnflushed = false
    /// Whether a comment was sent recently whose acknowledgement is still to be checked.
    private var isProbing = false
    private(set) var isOpen = true
    let slot: ConnectionSlot
    var wheelPlace: WheelPlace?

    init(
        id: ConnectionID, slot: ConnectionSlot, socket: any StreamSocket, shard: Shard, joining: Joining,
        starts: [Session.Start], unreadable: [GroupName]
    ) {
        self.slot = slot
        self.shard = shard
        self.socket = socket
        self.starts = starts
        self.joining = joining
        self.unreadable = unreadable
        session = Session(id: id, form: .eventStream, groups: joining.groups, shard: shard, transport: self)
    }

    // MARK: StreamSocketOwner

    func begin() {
        shard.opened(self)
        shard.schedule(self, in: slot.lookAgain(in: Self.commentSeconds))
        write(EventWriter.retry(milliseconds: Int.random(in: 1000...3000)))
        for group in unreadable { tellLost(group, .reset) }
        // Even a client that never receives a message must know where it was.
        write(EventWriter.cursor(EventCursor.text(starts.map(\.position))))
        session.confirm(starts)
        if let joining { session.open(joining.take(), at: starts) }
        joining = nil
        followInboxes()
        flush()
    }

    private func followInboxes() {
        guard starts.contains(where: { $0.tracking == .inbox }) else { return }
        let desk = InboxDesk(
            backplane: shard.state.backplane, eventLoop: shard.eventLoop, user: user, namesGroups: true)
        let states = InboxStates(desk, session.groups, starts) { [unowned self] in tellState(of: $0, $1) }
        self.states = states
        states.begin {}
    }

    private func tellState(of group: GroupName, _ mark: ReadMark? = nil) {
        guard isOpen, let state = states?.state(of: group) else { return }
        guard isWritable else {
            owed.insert(group)
            return
        }
        write(EventWriter.state(state, mark, of: group))
    }

    /// Ignored: a client has nothing to send after its request.
    func received(_ bytes: ByteBuffer) {}

    func becameWritable() {
        session.proceedAll()
        let groups = owed
        owed = []
        for group in groups { tellState(of: group) }
    }

    func ended() {
        isOpen = false
        shard.unschedule(self)
        states?.end()
        session.end()
        shard.closed(self)
    }

    // MARK: SessionTransport

    var isWritable: Bool { isOpen && socket.isWritable }

    var user: String? { slot.user }

    func write(_ bytes: ByteBuffer) {
        socket.write(bytes)
        guard !isUnflushed else { return }
        isUnflushed = true
        shard.wrote(self)
    }

    func flush() {
        guard isUnflushed else { return }
        isUnflushed = false
        socket.flush()
    }

    func send(_ bytes: ByteBuffer) {
        isUnflushed = false
        socket.send(bytes)
    }

    var pendingBytes: Int { socket.pendingBytes }

    func tellLost(_ group: GroupName, _ continuity: Continuity) {
        // Before the session is open, the client has seen nothing beyond the start positions.
        let shown = session.shown.isEmpty ? starts.map(\.position) : session.shown
        write(EventWriter.gap(group: group.text, reason: continuity.name, id: EventCursor.text(shown)))
    }

    func tellDropped(_ group: GroupName, _ count: Int) {
        write(EventWriter.dropped(group: group.text, count: count))
    }

    func tellInbox(_ group: GroupName, _ change: ReadStateChange) { states?.changed(group, change) }

    func cut() { socket.close() }

    func drain() { end(.drain(milliseconds: DrainDelay.random(shard.settings.configuration))) }

    func end(_ reason: CloseReason) {
        switch Self.ending(for: reason) {
        case .cut: socket.close()
        case .finish(let goodbye):
            isOpen = false
            goodbye.map { write(Self.bytes(of: $0)) }
            flush()
            socket.finish()
            shard.schedule(self, in: Self.farewellSeconds)
        }
    }
}

extension EventStreamClient: DeadlineOwner {
    func tick() -> Int? {
        if isOpen, slot.isExpired() {
            shard.state.metrics.expired.add()
            end(.expired)
            return Self.farewellSeconds
        }
        return look().map { isOpen ? slot.lookAgain(in: $0) : $0 }
    }

    private func look() -> Int? {
        guard isOpen else {
            socket.close()
            return nil
        }
        if isProbing { return probed() }
        if let since = session.slowSince, .now() >= since + .seconds(Int64(shard.settings.configuration.slowSeconds)) {
            shard.state.metrics.slow.add()
            end(.slow)
            return nil
        }
        if isWritable { send(EventWriter.comment) }
        isProbing = true
        return shard.settings.configuration.pongSeconds
    }

    /// Checks whether the client is alive. All it ever sends is TCP acknowledgements; without them it counts as dead.
    private func probed() -> Int? {
        isProbing = false
        guard socket.unansweredSeconds >= shard.settings.configuration.pongSeconds else {
            return max(Self.commentSeconds - shard.settings.configuration.pongSeconds, 1)
        }
        shard.state.metrics.dead.add()
        end(.dead)
        return nil
    }
}

@available(*, unavailable) extension EventStreamClient: Sendable {}
