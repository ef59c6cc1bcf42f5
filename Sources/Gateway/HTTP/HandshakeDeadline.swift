import NIOCore
import NIOHTTP1

/// Stands before the HTTP parser: bounds a request's head, and what is sent behind it, in bytes and the whole handshake
/// in time.
///
/// The parser's own limits are far above what a handshake needs, and it waits for ever. Lives on its shard's loop, and
/// leaves the pipeline with the upgrade.
final class HandshakeDeadline: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private let shard: Shard
    private var context: ChannelHandlerContext?
    private var seen = 0
    /// The head has come whole: what follows is counted by others.
    private var isPast = false
    private var isOver = false
    private let refuse: (Refusal) -> Void
    var wheelPlace: WheelPlace?

    /// - Parameter refuse: answers and ends the connection.
    init(shard: Shard, refuse: @escaping (Refusal) -> Void) {
        self.shard = shard
        self.refuse = refuse
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        shard.schedule(self, in: shard.state.configuration.handshakeSeconds)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        shard.unschedule(self)
        self.context = nil
    }

    /// The client has done its part; the login has a time of its own, and this is only the backstop for it.
    func headArrived() {
        isPast = true
        shard.schedule(self, in: Self.loginSeconds)
    }

    /// The refusal is written: a moment to read it, then the end, whether the client ends its side or not.
    func refused() {
        isOver = true
        shard.schedule(self, in: 2)
    }

    /// Longer than any login may take.
    private static let loginSeconds = 15

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isOver else { return }
        seen += unwrapInboundIn(data).readableBytes
        let configuration = shard.state.configuration
        let limit = configuration.maximumHeaderBytes
        if !isPast, seen > limit {
            isOver = true
            let message = "the request's head has more than \(limit) bytes"
            return refuse(Refusal(status: .requestHeaderFieldsTooLarge, message: message, reason: "headers"))
        }
        // Frames that come before the answer wait in memory: one message's worth of them.
        if isPast, seen > limit + configuration.maximumMessageBytes {
            isOver = true
            return refuse(HandshakeGuard.bad("wait for the answer before you send"))
        }
        context.fireChannelRead(data)
    }
}

extension HandshakeDeadline: Ticking {
    func tick() -> Int? {
        guard let context else { return nil }
        if isOver {
            // The refusal has had its time to be read.
            context.close(promise: nil)
            return nil
        }
        isOver = true
        refuse(Refusal(status: .requestTimeout, message: "the handshake took too long", reason: "timeout"))
        return 1
    }
}

@available(*, unavailable) extension HandshakeDeadline: Sendable {}
