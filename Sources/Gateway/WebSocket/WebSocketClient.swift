import Broker
import NIOCore
import Sockets

/// One WebSocket after its upgrade: its socket's owner, and its session's transport.
///
/// Lives on its shard's loop. What it decides is in `FrameParser` and `WebSocketStateMachine`; here are the effects.
final class WebSocketClient: ConnectedClient, SessionTransport, CentrifugeWire {
    // What a delivery looks at comes first, and so shares a line of the cache with the object's head.
    private let socket: any StreamSocket
    private var machine = WebSocketStateMachine()
    private var isUnflushed = false
    private var isReading = false
    private var isEnded = false
    private let shard: Shard
    private let route: Route
    private var session: Session!
    /// nil for plain clients.
    private var centrifuge: CentrifugeClient?
    private let starts: [Session.Start]
    let deflateWindow: DeflateWindow?
    private var parser: FrameParser
    private var messages = TokenBucket()
    private(set) var ticket: Ticket
    var wheelPlace: WheelPlace?

    /// - Parameters:
    ///   - starts: where the session begins in each group.
    ///   - window: what was agreed on for permessage-deflate; nil: no compression.
    init(
        id: ConnectionID, ticket: Ticket, socket: any StreamSocket, shard: Shard, route: Route, groups: [GroupName],
        starts: [Session.Start], window: DeflateWindow?
    ) {
        self.ticket = ticket
        deflateWindow = window
        self.shard = shard
        self.socket = socket
        self.route = route
        self.starts = starts
        parser = FrameParser(shard.state.configuration, allowsCompression: window != nil)
        session = Session(id: id, form: .plain, groups: groups, shard: shard, transport: self)
    }

    /// A client of the centrifuge protocol.
    init(
        id: ConnectionID, ticket: Ticket, socket: any StreamSocket, shard: Shard, route: Route, entry: CentrifugeEntry,
        window: DeflateWindow?
    ) {
        self.ticket = ticket
        deflateWindow = window
        self.shard = shard
        self.socket = socket
        self.route = route
        starts = []
        parser = FrameParser(shard.state.configuration, allowsCompression: window != nil)
        session = Session(id: id, form: .centrifuge, groups: [], shard: shard, transport: self)
        centrifuge = CentrifugeClient(id: id, shard: shard, session: session, entry: entry, wire: self)
    }

    var isOpen: Bool { machine.isOpen }

    private var configuration: GatewayConfiguration { shard.state.configuration }

    // MARK: The socket's word

    func begin() {
        shard.opened(self)
        shard.schedule(
            self, in: ticket.lookAgain(in: centrifuge == nil ? nextPing : CentrifugeClient.connectSeconds))
        session.open(at: starts)
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
        centrifuge?.goOn()
    }

    func ended() {
        isEnded = true
        machine.transportEnded()
        shard.unschedule(self)
        centrifuge?.end()
        session.end()
        shard.closed(self)
    }

    // MARK: What the client sends

    private func handle(_ event: FrameParser.Event) {
        guard mayGoOn(event) else { return }
        switch event {
        case .text(let text):
            guard machine.frameArrived() == .handle else { return }
            shard.state.metrics.received.add()
            receive(text)
        case .binary(let bytes):
            guard machine.frameArrived() == .handle else { return }
            if route.receive == .mirror {
                shard.state.metrics.received.add()
                return mirror(FrameWriter.binary(bytes))
            }
            shard.state.metrics.violations.add()
            close(.unsupportedData, "only text is spoken here")
        case .ping(let payload):
            // A client that floods pings and reads nothing keeps no more than its socket's buffer.
            guard machine.frameArrived() == .handle, socket.isWritable else { return }
            write(FrameWriter.pong(payload))
        case .pong: break
        case .close(let code): perform(machine.closeArrived(), code: code, reason: "")
        case .compressed(let payload, let isText):
            guard machine.frameArrived() == .handle else { return }
            handle(shard.inflater.message(payload, isText: isText))
        case .violation(let code, let reason):
            shard.state.metrics.violations.add()
            perform(machine.violation(), code: code.rawValue, reason: reason)
        }
    }

    /// Pings and pongs count, too: they cost as much. What breaks the protocol, or ends it, is dealt with in any case.
    private func mayGoOn(_ event: FrameParser.Event) -> Bool {
        switch event {
        case .text, .binary, .ping, .pong, .compressed: spend(1)
        case .close, .violation: true
        }
    }

    /// - Returns: false when it sends too fast: it has been told, and nothing that it sent after counts.
    func spend(_ count: Int) -> Bool {
        let rate = shard.state.messageRate
        guard rate.isLimited, machine.isOpen, !messages.take(count, of: rate, at: .now()) else { return true }
        shard.state.metrics.tooFast.add()
        let disconnect = CentrifugeDisconnect.tooManyRequests
        if centrifuge != nil {
            perform(machine.violation(), code: disconnect.code, reason: disconnect.reason)
        } else {
            perform(machine.violation(), code: CloseCode.rateLimited.rawValue, reason: "too many messages")
        }
        return false
    }

    private func receive(_ text: ByteBuffer) {
        if let centrifuge { return centrifuge.receive(text) }
        switch route.receive {
        case .ignore: break
        case .echo:
            var answer = ByteBuffer()
            JSONText.appendPythonString(text.readableBytesView, to: &answer)
            // A client that reads nothing gets no more echoes than its socket holds.
            if isWritable { write(frame(answer)) }
        case .mirror: mirror(frame(text))
        case .groupSend:
            guard let message = ClientMessage.message(from: text) else {
                return close(.policy, "a message must be a JSON object")
            }
            for group in session.groups { send(message, to: group) }
        }
    }

    private func frame(_ text: ByteBuffer) -> ByteBuffer {
        deflateWindow.flatMap { shard.deflater.frame(text: text, window: $0) } ?? FrameWriter.text(text)
    }

    /// A client that reads nothing gets no more back than its socket holds.
    private func mirror(_ frame: ByteBuffer) { if isWritable { write(frame) } }

    private func send(_ message: ByteBuffer, to group: GroupName) {
        let bound = NIOLoopBound(self, eventLoop: shard.eventLoop)
        let eventLoop = shard.eventLoop
        shard.state.backplane.groupSend(message, to: group).whenFailure { error in
            // Not accepted, so the client must not believe that it was.
            let isFinal = (error as? BackplaneError)?.code == .refused
            eventLoop.execute {
                if isFinal {
                    bound.value.close(.policy, "the message was refused")
                } else {
                    bound.value.close(.tryAgainLater, "the message was not accepted")
                }
            }
        }
    }

    // MARK: What the client is sent

    var isWritable: Bool { machine.isOpen && socket.isWritable }

    var pendingBytes: Int { socket.pendingBytes }

    /// Neither plain clients nor the centrifuge protocol have words for it; the metric counts.
    func tellDropped(_ group: GroupName, _ count: Int) {}

    func write(_ frame: ByteBuffer) {
        socket.write(frame)
        guard !isUnflushed else { return }
        isUnflushed = true
        if !isReading { shard.wrote(self) }
    }

    /// A plain client has no words for a gap: it is closed, and fetches what it needs before it comes back. It keeps no
    /// cursor, so what only makes cursors useless does not concern it.
    func tellLost(_ group: GroupName, _ continuity: Continuity) {
        switch continuity {
        case .liveOnly: break
        case _ where centrifuge != nil: centrifuge?.lost(group)
        case .gap, .reset: close(.resync, "messages may be missing: \(continuity)")
        case .resumed, .historyChanged, .rolledBack, .renewed: break
        }
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

    /// Says goodbye; the transport ends when the client has answered, or has not within `pongSeconds`.
    func close(_ code: CloseCode, _ reason: String) {
        perform(machine.close(), code: code.rawValue, reason: reason)
    }

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

    /// A token has said who it is, or that it still is: until when the connection may stay.
    ///
    /// - Throws: `Refusal` when the user has too many connections, or the login has ended.
    func loggedIn(_ identity: Identity) throws(Refusal) {
        if ticket.user == nil { try shard.state.admission.identify(&ticket, as: identity.user) }
        ticket.expiry = try Handshake.expiry(of: identity)
        shard.schedule(self, in: ticket.lookAgain(in: CentrifugeClient.pingSeconds))
    }

    func say(_ reply: ByteBuffer) { write(frame(reply)) }

    func disconnect(_ disconnect: CentrifugeDisconnect) {
        perform(machine.close(), code: disconnect.code, reason: disconnect.reason)
    }

    func cut() { socket.close() }

    func end(_ ending: Ending) {
        guard centrifuge == nil else { return disconnect(ending == .revoked ? .forced : .expired) }
        close(.loginEnded, ending.reason)
    }

    func drain() {
        // The SDK knows by itself to come back, each at a time of its own.
        if centrifuge != nil { return disconnect(.shutdown) }
        let milliseconds = DrainDelay.random(shard.state)
        close(.serviceRestart, "the gateway restarts; reconnect in \(milliseconds) ms")
    }
}

extension WebSocketClient: Ticking {
    /// The interval ± 10 %, by the connection's number, which is random.
    private var nextPing: Int {
        if centrifuge != nil { return CentrifugeClient.pingSeconds }
        let interval = configuration.pingSeconds, spread = interval / 10
        return max(interval - spread + Int(session.id.value % UInt64(2 * spread + 1)), 1)
    }

    func tick() -> Int? {
        if machine.isOpen, ticket.isExpired() {
            shard.state.metrics.expired.add()
            end(.expired)
            return configuration.pongSeconds
        }
        return look().map { machine.isOpen ? ticket.lookAgain(in: $0) : $0 }
    }

    private func look() -> Int? {
        if let since = session.slowSince {
            // Its socket is full, so it has not seen our pings: silence says nothing, and slowness has its own limit.
            guard machine.isOpen, .now() < since + .seconds(Int64(configuration.slowSeconds)) else {
                shard.state.metrics.slow.add()
                let code = centrifuge == nil ? CloseCode.slow.rawValue : CentrifugeDisconnect.slow.code
                perform(machine.violation(), code: code, reason: "too slow for too long")
                socket.close()
                return nil
            }
            return configuration.pongSeconds
        }
        if machine.isOpen, let centrifuge, !centrifuge.isConnected {
            disconnect(.stale)
            return configuration.pongSeconds
        }
        let wasOpen = machine.isOpen
        switch machine.probeIsDue() {
        case .ignore: return nil
        case .sendPing:
            // An SDK in a browser cannot see a WebSocket's ping: the protocol has one of its own.
            send(centrifuge == nil ? FrameWriter.ping() : FrameWriter.text(CentrifugeReply.ping))
            return pongWait
        case .wait: return max(nextPing - pongWait, 1)
        case .end:
            if wasOpen { endDead() } else { socket.close() }
            return nil
        }
    }

    private var pongWait: Int { centrifuge == nil ? configuration.pongSeconds : CentrifugeClient.pongSeconds }

    private func endDead() {
        shard.state.metrics.dead.add()
        if centrifuge != nil {
            write(FrameWriter.close(CentrifugeDisconnect.noPong.code, reason: CentrifugeDisconnect.noPong.reason))
            flush()
        }
        socket.close()
    }
}

@available(*, unavailable) extension WebSocketClient: Sendable {}
