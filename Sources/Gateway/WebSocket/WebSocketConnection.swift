import Broker
import NIOCore
import Sockets

/// One WebSocket after its upgrade: owns the socket, and is its session's transport. Its dialect handles the contents.
///
/// Lives on its shard's loop. Decisions are made in `FrameParser` and `WebSocketStateMachine`; this class performs them.
final class WebSocketConnection: ConnectedClient, SessionTransport {
    // What a delivery reads comes first, so that it shares a cache line with the object's header.
    private let socket: any StreamSocket
    private var machine = WebSocketStateMachine()
    private var isUnflushed = false
    private var isReading = false
    private var isEnded = false
    private let shard: Shard
    private(set) var session: Session!
    private var dialect: (any ClientDialect)!
    let deflateWindow: DeflateWindow?
    private var parser: FrameParser
    private var messages = TokenBucket()
    private(set) var slot: ConnectionSlot
    var wheelPlace: WheelPlace?

    /// - Parameters:
    ///   - groups: groups that the session is in from the beginning.
    ///   - window: the negotiated compression window; nil: no compression.
    ///   - dialect: creates the dialect, which only this connection owns.
    init(
        id: ConnectionID, slot: ConnectionSlot, socket: any StreamSocket, shard: Shard, form: WireForm,
        groups: [GroupName],
        window: DeflateWindow?, dialect: (Session, WebSocketConnection) -> any ClientDialect
    ) {
        self.slot = slot
        deflateWindow = window
        self.shard = shard
        self.socket = socket
        parser = FrameParser(shard.settings.configuration, allowsCompression: window != nil)
        let session = Session(id: id, form: form, groups: groups, shard: shard, transport: self)
        self.session = session
        self.dialect = dialect(session, self)
    }

    var isOpen: Bool { machine.isOpen }

    private var configuration: GatewayConfiguration { shard.settings.configuration }

    // MARK: StreamSocketOwner

    func begin() {
        shard.opened(self)
        shard.schedule(self, in: slot.lookAgain(in: dialect.openingSeconds ?? dialect.keepAlive.interval))
        dialect.opened()
    }

    func received(_ bytes: ByteBuffer) {
        isReading = true
        machine.bytesArrived()
        parser.feed(bytes)
        while let event = parser.next() { handle(event) }
        isReading = false
        if isUnflushed { flush() }
    }

    func becameWritable() {
        session.proceedAll()
        dialect.roomAgain()
    }

    func ended() {
        isEnded = true
        machine.transportEnded()
        shard.unschedule(self)
        dialect.ended()
        session.end()
        shard.closed(self)
    }

    // MARK: Frames

    private func handle(_ event: FrameParser.Event) {
        guard mayGoOn(event) else { return }
        switch event {
        case .text(let text):
            guard machine.frameArrived() == .handle else { return }
            shard.state.metrics.received.add()
            dialect.received(text)
        case .binary(let bytes):
            guard machine.frameArrived() == .handle else { return }
            guard dialect.received(binary: bytes) else {
                shard.state.metrics.violations.add()
                return close(.binaryMessage)
            }
            shard.state.metrics.received.add()
        case .ping(let payload):
            // When the socket is full, pings go unanswered, so a flood of them queues nothing.
            guard machine.frameArrived() == .handle, socket.isWritable else { return }
            write(FrameWriter.pong(payload))
        case .pong(let payload): if machine.isOpen { session.pong(payload) }
        case .close(let code): perform(machine.closeArrived(), code: code, reason: "")
        case .compressed(let payload, let isText):
            guard machine.frameArrived() == .handle else { return }
            handle(shard.inflater.message(payload, isText: isText))
        case .violation(let code, let reason):
            shard.state.metrics.violations.add()
            end(with: .violation(code, reason))
        }
    }

    /// Applies the rate limit; pings and pongs count too, as they cost as much. Close frames and violations always proceed.
    private func mayGoOn(_ event: FrameParser.Event) -> Bool {
        switch event {
        case .text, .binary, .ping, .pong, .compressed: charge(1)
        case .close, .violation: true
        }
    }

    private func frame(_ text: ByteBuffer) -> ByteBuffer {
        deflateWindow.flatMap { shard.deflater.frame(text: text, window: $0) } ?? FrameWriter.text(text)
    }

    // MARK: SessionTransport

    var isWritable: Bool { machine.isOpen && socket.isWritable }

    var user: String? { slot.user }

    var pendingBytes: Int { socket.pendingBytes }

    func tellDropped(_ group: GroupName, _ count: Int) { dialect.dropped(group, count) }

    func tellInbox(_ group: GroupName, _ change: ReadStateChange) { dialect.inboxChanged(group, change) }

    func isRead(_ position: Position, in group: GroupName) -> Bool { dialect.isRead(position, in: group) }

    func tellLost(_ group: GroupName, _ continuity: Continuity) { dialect.lost(group, continuity) }

    func write(_ frame: ByteBuffer) {
        socket.write(frame)
        guard !isUnflushed else { return }
        isUnflushed = true
        if !isReading { shard.wrote(self) }
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

    // MARK: Closing

    private func words(for reason: CloseReason) -> CloseWords? { type(of: dialect!).words(for: reason) }

    private func perform(_ action: WebSocketStateMachine.CloseAction, code: UInt16?, reason: String) {
        guard !isEnded else { return }
        switch action {
        case .ignore: break
        case .end: socket.close()
        case .sendClose:
            write(FrameWriter.close(code, reason: reason))
            flush()
            shard.schedule(self, in: configuration.pongSeconds)
        case .sendCloseAndEnd:
            write(FrameWriter.close(code, reason: reason))
            flush()
            socket.finish()
            shard.schedule(self, in: configuration.pongSeconds)
        }
    }

    /// Sends a close frame and ends the connection without waiting for the peer's.
    private func end(with reason: CloseReason) {
        let words = words(for: reason)
        perform(machine.violation(), code: words?.code, reason: words?.reason ?? "")
    }

    /// Closes the socket immediately, after a close frame if the dialect has one for the reason.
    private func drop(_ reason: CloseReason) {
        if let words = words(for: reason) {
            write(FrameWriter.close(words.code, reason: words.reason))
            flush()
        }
        socket.close()
    }

    func cut() { socket.close() }

    func end(_ reason: CloseReason) { close(reason) }

    func drain() { close(.drain(milliseconds: DrainDelay.random(shard.settings.configuration))) }
}

extension WebSocketConnection: DialectConnection {
    func say(_ text: ByteBuffer) { write(frame(text)) }

    func say(binary: ByteBuffer) { write(FrameWriter.binary(binary)) }

    func close(_ reason: CloseReason) {
        if let words = words(for: reason) { close(words) } else { socket.close() }
    }

    /// The connection ends when the client has answered, or after `pongSeconds`.
    func close(_ words: CloseWords) { perform(machine.close(), code: words.code, reason: words.reason) }

    func charge(_ count: Int) -> Bool {
        let rate = shard.settings.messageRate
        guard rate.isLimited, machine.isOpen, !messages.take(count, of: rate, at: .now()) else { return true }
        shard.state.metrics.tooFast.add()
        end(with: .rateLimited)
        return false
    }

    func loggedIn(_ identity: Identity) throws(Refusal) {
        if slot.user == nil { try shard.state.admission.identify(&slot, as: identity.user) }
        slot.expiry = try LoginLifetime.end(of: identity)
        shard.schedule(self, in: slot.lookAgain(in: dialect.keepAlive.interval))
    }
}

extension WebSocketConnection: DeadlineOwner {
    func tick() -> Int? {
        if machine.isOpen, slot.isExpired() {
            shard.state.metrics.expired.add()
            close(.expired)
            return configuration.pongSeconds
        }
        return look().map { machine.isOpen ? slot.lookAgain(in: $0) : $0 }
    }

    /// Where there is something to prove, a WebSocket ping proves it, next to a dialect's own ping or instead of the plain one.
    private func keepAlivePing() -> ByteBuffer {
        var ping = dialect.keepAlive.ping
        guard let proof = session.keepAlivePing() else { return ping }
        guard !dialect.keepAlive.isOwn else {
            ping.writeImmutableBuffer(proof)
            return ping
        }
        return proof
    }

    private func look() -> Int? {
        if let since = session.slowSince {
            // With a full socket it has not seen our pings: silence means nothing, and slowness has its own limit.
            guard machine.isOpen, .now() < since + .seconds(Int64(configuration.slowSeconds)) else {
                shard.state.metrics.slow.add()
                end(with: .slow)
                socket.close()
                return nil
            }
            return configuration.pongSeconds
        }
        if machine.isOpen, !dialect.isEstablished {
            close(.stale)
            return configuration.pongSeconds
        }
        let wasOpen = machine.isOpen
        switch machine.probeIsDue() {
        case .ignore: return nil
        case .sendPing:
            send(keepAlivePing())
            return dialect.keepAlive.wait
        case .wait: return max(dialect.keepAlive.interval - dialect.keepAlive.wait, 1)
        case .end:
            if wasOpen { shard.state.metrics.dead.add() }
            if wasOpen { drop(.dead) } else { socket.close() }
            return nil
        }
    }
}

@available(*, unavailable) extension WebSocketConnection: Sendable {}
