import Broker
import NIOCore
import Sockets

/// One client of server-sent events: its socket's owner, and its session's transport.
///
/// The answer has no length and ends with the connection. Lives on its shard's loop.
final class EventStreamClient: ConnectedClient, SessionTransport {
    /// Below every proxy's patience.
    private static let commentSeconds = 15

    private let shard: Shard
    private let socket: any StreamSocket
    private(set) var session: Session!
    private let starts: [Session.Start]
    /// Until the session is open.
    private var joining: Joining?
    /// Groups whose cursor the client brought in a form that nobody can read: it is told so.
    private let unreadable: [GroupName]
    private var isUnflushed = false
    /// A comment went out a while ago.
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
        // A client to which nothing is ever sent must know where it was all the same.
        write(EventWriter.cursor(EventCursor.text(starts.map(\.position))))
        if let joining { session.open(joining.take(), at: starts) }
        joining = nil
        flush()
    }

    /// Anything that a client sends after its request is ignored.
    func received(_ bytes: ByteBuffer) {}

    func becameWritable() { session.proceedAll() }

    func ended() {
        isOpen = false
        shard.unschedule(self)
        session.end()
        shard.closed(self)
    }

    // MARK: The session's transport

    var isWritable: Bool { isOpen && socket.isWritable }

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
        // Before the session is open it has shown nothing.
        let shown = session.shown.isEmpty ? starts.map(\.position) : session.shown
        write(EventWriter.gap(group: group.text, reason: continuity.word, id: EventCursor.text(shown)))
    }

    func tellDropped(_ group: GroupName, _ count: Int) {
        write(EventWriter.dropped(group: group.text, count: count))
    }

    func cut() { socket.close() }

    func drain() {
        write(EventWriter.retry(milliseconds: DrainDelay.random(shard.settings.configuration)))
        end()
    }

    /// Expired clients may reconnect; the login decides.
    func end(_ reason: CloseReason) {
        if reason == .revoked { write(EventWriter.end(reason: "ended by the operator")) }
        end()
    }

    private func end() {
        isOpen = false
        flush()
        socket.finish()
        shard.schedule(self, in: 2)
    }
}

extension EventStreamClient: Ticking {
    func tick() -> Int? {
        if isOpen, slot.isExpired() {
            shard.state.metrics.expired.add()
            end(.expired)
            return 2
        }
        return look().map { isOpen ? slot.lookAgain(in: $0) : $0 }
    }

    private func look() -> Int? {
        if isProbing { return probed() }
        guard isOpen else {
            socket.close()
            return nil
        }
        if let since = session.slowSince, .now() >= since + .seconds(Int64(shard.settings.configuration.slowSeconds)) {
            shard.state.metrics.slow.add()
            socket.close()
            return nil
        }
        if isWritable { send(EventWriter.comment) }
        isProbing = true
        return shard.settings.configuration.pongSeconds
    }

    /// A stream hears nothing from its client but TCP's acknowledgements: one that gives none is dead.
    private func probed() -> Int? {
        isProbing = false
        guard socket.unansweredSeconds >= shard.settings.configuration.pongSeconds else {
            return max(Self.commentSeconds - shard.settings.configuration.pongSeconds, 1)
        }
        shard.state.metrics.dead.add()
        socket.close()
        return nil
    }
}

@available(*, unavailable) extension EventStreamClient: Sendable {}
