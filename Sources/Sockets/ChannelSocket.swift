import Glibc
public import NIOCore

/// A connection over a SwiftNIO channel, which TLS needs; the last handler of the channel's pipeline.
///
/// Lives on the channel's loop. The channel must not allow remote half-closure: when the peer ends its side, the connection
/// ends, as for a `PlainSocket`.
public final class ChannelSocket: ChannelInboundHandler, StreamSocket {
    public typealias InboundIn = ByteBuffer
    public typealias OutboundOut = ByteBuffer

    public let peer: PeerAddress
    public var owner: (any StreamSocketOwner)?
    private let high: Int
    private let eventLoop: any EventLoop
    private var context: ChannelHandlerContext?
    private var state = State.open
    private var isFull = false
    /// Bytes written since the last flush: TLS has not seen them yet, so the channel does not count them.
    private var unflushed = 0
    /// Bytes that the channel held when last asked; it can only have become less.
    private var buffered = 0

    private enum State {
        case open
        /// The sending side has ended, or will once everything has been sent.
        case finished
        case closed
    }

    /// - Parameter high: the channel's high watermark, in bytes. The low one is known only to the channel.
    public init(peer: PeerAddress, high: Int, eventLoop: any EventLoop) {
        self.peer = peer
        self.high = high
        self.eventLoop = eventLoop
    }

    // MARK: Writing

    public var isWritable: Bool { state == .open && !isFull }
    public var pendingBytes: Int { state == .closed ? 0 : unflushed + channelBytes() }

    /// From TCP_INFO (tcp(7)), as for a plain socket. On its loop the channel answers synchronously.
    public var unansweredSeconds: Int {
        guard state != .closed, let channel = context?.channel as? any SocketOptionProvider else { return 0 }
        var milliseconds: UInt32 = 0
        channel.getTCPInfo().assumeIsolated().whenSuccess { info in
            if info.tcpi_unacked > 0 { milliseconds = info.tcpi_last_ack_recv }
        }
        return Int(milliseconds) / 1000
    }

    /// Encrypted bytes that wait for the kernel.
    private func channelBytes() -> Int {
        (try? context?.channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
    }

    public func write(_ bytes: ByteBuffer) {
        guard state == .open, let context else { return }
        context.write(wrapOutboundOut(bytes), promise: nil)
        unflushed += bytes.readableBytes
        guard !isFull, unflushed + buffered > high else { return }
        buffered = channelBytes()
        isFull = unflushed + buffered > high
    }

    public func flush() {
        guard state == .open, let context else { return }
        context.flush()
        guard state == .open else { return }
        if unflushed > 0 { buffered = channelBytes() }
        unflushed = 0
        if isFull, context.channel.isWritable { hasRoomAgain() }
    }

    private func hasRoomAgain() {
        isFull = false
        eventLoop.assumeIsolated().execute { if self.isWritable { self.owner?.becameWritable() } }
    }

    // MARK: ChannelInboundHandler

    public func handlerAdded(context: ChannelHandlerContext) { self.context = context }
    public func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    public func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard state != .closed else { return }
        owner?.received(unwrapInboundIn(data))
    }

    public func channelWritabilityChanged(context: ChannelHandlerContext) {
        if !context.channel.isWritable {
            isFull = true
        } else if isFull, unflushed <= high {
            hasRoomAgain()
        }
    }

    /// A connection whose TLS has failed is useless.
    public func errorCaught(context: ChannelHandlerContext, error: any Error) { close() }

    public func channelInactive(context: ChannelHandlerContext) { end() }

    // MARK: The end

    /// TLS announces the end of the stream before ending it (RFC 8446 section 6.1), for reading and writing alike.
    public func finish() {
        guard state == .open, let context else { return }
        flush()
        guard state == .open else { return }
        state = .finished
        context.close(mode: .output, promise: nil)
    }

    /// Sends TLS' close_notify. A peer that does not answer it holds the descriptor for the TLS configuration's shutdown
    /// time-out; the owner does not wait for that.
    public func close() {
        guard state != .closed else { return }
        end()
        context?.close(promise: nil)
    }

    private func end() {
        guard state != .closed else { return }
        state = .closed
        eventLoop.assumeIsolated().execute {
            let owner = self.owner
            self.owner = nil
            owner?.ended()
        }
    }
}

@available(*, unavailable) extension ChannelSocket: Sendable {}
