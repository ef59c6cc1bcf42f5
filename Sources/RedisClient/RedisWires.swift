import NIOCore
import Sockets

/// A Redis connection over a plain socket, on its loop.
final class SocketWire: RedisWire, StreamSocketOwner {
    private let socket: PlainSocket
    private let connection: RedisConnection

    /// - Returns: nil when the process has too many sockets.
    init?(_ socket: PlainSocket, _ connection: RedisConnection) {
        self.socket = socket
        self.connection = connection
        socket.owner = self
        guard socket.start() else { return nil }
        connection.begin(self)
    }

    func send(_ bytes: ByteBuffer) {
        socket.write(bytes)
        socket.flush()
    }

    func close() { socket.close() }

    func received(_ bytes: ByteBuffer) {
        connection.received(bytes)
        connection.readComplete()
    }

    func becameWritable() {}
    func ended() { connection.ended() }
}

/// A Redis connection over a SwiftNIO channel: for TLS, or on a loop that is not a `SocketLoop`.
final class ChannelWire: ChannelInboundHandler, RedisWire {
    typealias InboundIn = ByteBuffer

    private let connection: RedisConnection
    private var channel: (any Channel)?

    init(_ connection: RedisConnection) { self.connection = connection }

    func send(_ bytes: ByteBuffer) { channel?.writeAndFlush(bytes, promise: nil) }
    func close() { channel?.close(promise: nil) }

    func handlerAdded(context: ChannelHandlerContext) {
        channel = context.channel
        connection.begin(self)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { connection.received(unwrapInboundIn(data)) }

    func channelReadComplete(context: ChannelHandlerContext) {
        connection.readComplete()
        context.fireChannelReadComplete()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { connection.failed(error) }
    func channelInactive(context: ChannelHandlerContext) { ended() }

    /// A channel that never connected ends without becoming inactive.
    func handlerRemoved(context: ChannelHandlerContext) { ended() }

    private func ended() {
        guard channel != nil else { return }
        channel = nil
        connection.ended()
    }
}

@available(*, unavailable) extension SocketWire: Sendable {}
@available(*, unavailable) extension ChannelWire: Sendable {}
