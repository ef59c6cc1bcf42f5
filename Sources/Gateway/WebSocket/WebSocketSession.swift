import Broker
import NIOCore

/// One WebSocket after its upgrade: the only handler of its channel, and a member of its groups in the shard.
///
/// Lives on its shard's loop. What it decides is in `FrameParser` and `WebSocketStateMachine`; here are the effects.
final class WebSocketSession: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    let id: ConnectionID
    private let shard: Shard
    private let route: Route
    private let groups: [GroupName]
    private var memberships: [(GroupName, GroupMembers, Int)] = []
    private var context: ChannelHandlerContext?
    private var parser: FrameParser
    private var machine = WebSocketStateMachine()
    private var isUnflushed = false
    private var isReading = false
    var wheelPlace: WheelPlace?

    init(id: ConnectionID, shard: Shard, route: Route, groups: [GroupName]) {
        self.id = id
        self.shard = shard
        self.route = route
        self.groups = groups
        parser = FrameParser(maximumMessageBytes: shard.state.configuration.maximumMessageBytes)
    }

    var isOpen: Bool { machine.isOpen }

    private var configuration: GatewayConfiguration { shard.state.configuration }

    // MARK: Channel events

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        memberships = shard.opened(self, groups: groups)
        shard.state.metrics.connections.add(1)
        shard.state.metrics.opened.add()
        shard.schedule(self, in: nextPing)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        isReading = true
        machine.bytesArrived()
        parser.feed(unwrapInboundIn(data))
        while let event = parser.next() { handle(event) }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        isReading = false
        if isUnflushed { flush() }
    }

    func channelInactive(context: ChannelHandlerContext) { ended() }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    func handlerRemoved(context: ChannelHandlerContext) { ended() }

    private func ended() {
        guard context != nil else { return }
        context = nil
        machine.transportEnded()
        shard.unschedule(self)
        shard.closed(self, memberships: memberships)
        memberships = []
        for group in groups { shard.state.backplane.groupDiscard(id, from: group, outlet: shard.index) }
        shard.state.metrics.connections.add(-1)
        shard.state.metrics.closed.add()
        shard.state.leave()
    }

    // MARK: What the client sends

    private func handle(_ event: FrameParser.Event) {
        switch event {
        case .text(let text):
            guard machine.frameArrived() == .handle else { return }
            shard.state.metrics.received.add()
            receive(text)
        case .binary:
            guard machine.frameArrived() == .handle else { return }
            shard.state.metrics.violations.add()
            close(.unsupportedData, "only text is spoken here")
        case .ping(let payload):
            // A client that floods pings and reads nothing keeps no more than its socket's buffer.
            guard machine.frameArrived() == .handle, context?.channel.isWritable == true else { return }
            write(FrameWriter.pong(payload))
        case .pong: break
        case .close(let code): perform(machine.closeArrived(), code: code, reason: "")
        case .violation(let code, let reason):
            shard.state.metrics.violations.add()
            perform(machine.violation(), code: code.rawValue, reason: reason)
        }
    }

    private func receive(_ text: ByteBuffer) {
        switch route.receive {
        case .ignore: break
        case .echo:
            var answer = ByteBuffer()
            JSONText.appendPythonString(text.readableBytesView, to: &answer)
            deliver(FrameWriter.text(answer))
        case .groupSend:
            guard let message = ClientMessage.message(from: text) else {
                return close(.policy, "a message must be a JSON object")
            }
            for group in groups { send(message, to: group) }
        }
    }

    private func send(_ message: ByteBuffer, to group: GroupName) {
        let bound = NIOLoopBound(self, eventLoop: shard.eventLoop)
        let eventLoop = shard.eventLoop
        shard.state.backplane.groupSend(message, to: group).whenFailure { _ in
            // Not accepted, so the client must not believe that it was.
            eventLoop.execute { bound.value.close(.tryAgainLater, "the message was not accepted") }
        }
    }

    // MARK: What the client is sent

    /// Writes a frame; the flush comes at the end of the fan-out.
    func deliver(_ frame: ByteBuffer) {
        guard machine.isOpen, let context else { return }
        guard context.channel.isWritable || pendingBytes < configuration.maximumPendingBytes else {
            shard.state.metrics.slow.add()
            return close(.slow, "too slow: \(configuration.maximumPendingBytes) bytes are unread")
        }
        write(frame)
    }

    private var pendingBytes: Int {
        (try? context?.channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
    }

    private func write(_ frame: ByteBuffer) {
        guard let context else { return }
        context.write(wrapOutboundOut(frame), promise: nil)
        guard !isUnflushed else { return }
        isUnflushed = true
        if !isReading { shard.wrote(self) }
    }

    func flush() {
        guard isUnflushed else { return }
        isUnflushed = false
        context?.flush()
    }

    // MARK: Closing

    /// Says goodbye; the transport ends when the client has answered, or has not within `pongSeconds`.
    func close(_ code: CloseCode, _ reason: String) {
        perform(machine.close(), code: code.rawValue, reason: reason)
    }

    private func perform(_ action: WebSocketStateMachine.CloseAction, code: UInt16?, reason: String) {
        guard let context else { return }
        switch action {
        case .ignore: break
        case .end: context.close(promise: nil)
        case .sendClose:
            write(FrameWriter.close(code, reason: reason))
            flush()
            shard.schedule(self, in: configuration.pongSeconds)
        case .sendCloseAndEnd:
            write(FrameWriter.close(code, reason: reason))
            flush()
            LingeringClose.close(context)
            shard.schedule(self, in: configuration.pongSeconds)
        }
    }

    func moved(to slot: Int, in members: GroupMembers) {
        for index in memberships.indices where memberships[index].1 === members { memberships[index].2 = slot }
    }
}

extension WebSocketSession: Ticking {
    /// The interval ± 10 %, less the time that the answer to the last ping was waited for.
    private var nextPing: Int {
        let interval = configuration.pingSeconds, spread = interval / 10
        return max(interval + Int.random(in: -spread...spread), 1)
    }

    func tick() -> Int? {
        switch machine.probeIsDue() {
        case .ignore: return nil
        case .sendPing:
            write(FrameWriter.ping())
            return configuration.pongSeconds
        case .end:
            shard.state.metrics.dead.add()
            context?.close(promise: nil)
            return nil
        }
    }
}

@available(*, unavailable) extension WebSocketSession: Sendable {}
