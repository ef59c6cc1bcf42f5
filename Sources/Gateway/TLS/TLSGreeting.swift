import Logging
import NIOCore
import NIOSSL
import NIOTLS
import Sockets

/// Owns a connection until its TLS handshake is complete, and limits the time that takes.
///
/// The last handler of its channel, until a `ChannelSocket` replaces it. Lives on its shard's loop.
final class TLSGreeting: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer

    private let shard: Shard
    private let peer: PeerAddress
    private let deadline: NIODeadline
    private var channel: (any Channel)?
    /// The client's address, as reported by a proxy in front; nil: there is no proxy, or the connection is its own.
    var source: PeerAddress?
    var wheelPlace: WheelPlace?

    init(_ channel: any Channel, peer: PeerAddress, shard: Shard) {
        self.channel = channel
        self.peer = peer
        self.shard = shard
        let seconds = shard.settings.configuration.handshakeSeconds
        deadline = .now() + .seconds(Int64(seconds))
        shard.schedule(self, in: seconds)
    }

    /// Starts TLS: immediately, or after the proxy's header.
    ///
    /// - Parameter front: the handler that TLS must come after.
    func secure(behind front: (any ChannelHandler)? = nil, _ credentials: ServerCredentials) throws {
        guard let pipeline = channel?.pipeline.syncOperations else { return }
        let position = front.map { ChannelPipeline.SynchronousOperations.Position.after($0) } ?? .first
        try pipeline.addHandler(NIOSSLServerHandler(context: credentials.context), position: position)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard case TLSUserEvent.handshakeCompleted = event, channel != nil else {
            return context.fireUserInboundEventTriggered(event)
        }
        stand(context)
    }

    private func stand(_ context: ChannelHandlerContext) {
        shard.unschedule(self)
        channel = nil
        let socket = ChannelSocket(
            peer: peer, high: shard.settings.configuration.maximumPendingBytes, eventLoop: shard.eventLoop)
        let pipeline = context.pipeline.syncOperations
        do {
            try pipeline.addHandler(socket, position: .last)
        } catch {
            return context.close(promise: nil)
        }
        // The request gets whatever time is left.
        let left = Int((deadline - .now()).nanoseconds / 1_000_000_000)
        _ = Handshake(socket, shard: shard, source: source, seconds: max(left, 1))
        pipeline.removeHandler(context: context, promise: nil)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        refuse(.tls, why: "\(error)")
    }

    func channelInactive(context: ChannelHandlerContext) {
        shard.unschedule(self)
        channel = nil
        context.fireChannelInactive()
    }

    /// Closes without TLS' close_notify, which would wait for an answer.
    func refuse(_ reason: RefusalReason, why: String) {
        guard let channel else { return }
        self.channel = nil
        shard.unschedule(self)
        shard.state.metrics.refused(reason)
        shard.state.logger.debug("no TLS", metadata: ["reason": "\(reason.rawValue)", "why": "\(why)"])
        guard let tls = try? channel.pipeline.syncOperations.context(handlerType: NIOSSLServerHandler.self) else {
            return channel.close(promise: nil)
        }
        tls.close(promise: nil)
    }
}

extension TLSGreeting: DeadlineOwner {
    func tick() -> Int? {
        refuse(.timeout, why: "the handshake took too long")
        return nil
    }
}

@available(*, unavailable) extension TLSGreeting: Sendable {}
