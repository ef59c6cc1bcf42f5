import NIOCore
import NIOPosix
import Synchronization

/// A plain TCP connection: sends exactly what the test gives it, and records what it receives.
public final class RawClient: Sendable {
    private struct State {
        var received: [UInt8] = []
        var taken = 0
        var total = 0
        var isEnded = false

        mutating func take(_ count: Int) {
            taken += count
            // Not each time: the bytes after it would be moved.
            guard taken > 1 << 20 else { return }
            received.removeFirst(taken)
            taken = 0
        }
    }

    private final class Keeper: ChannelInboundHandler, Sendable {
        typealias InboundIn = ByteBuffer
        let state = Mutex(State())

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let bytes = unwrapInboundIn(data)
            state.withLock { state in
                state.received += bytes.readableBytesView
                state.total += bytes.readableBytes
            }
        }

        func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
            if case ChannelEvent.inputClosed = event { state.withLock { $0.isEnded = true } }
        }

        func channelInactive(context: ChannelHandlerContext) { state.withLock { $0.isEnded = true } }
        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }

    private let channel: any Channel
    private let keeper: Keeper

    /// - Parameters:
    ///   - reads: false: it never reads a byte, like a client that hangs.
    ///   - keepsOpen: true: it does not close its side when the server has closed its own.
    public static func connect(port: Int, reads: Bool = true, keepsOpen: Bool = false) async throws -> RawClient {
        let keeper = Keeper()
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelOption(.autoRead, value: reads)
            .channelOption(.allowRemoteHalfClosure, value: keepsOpen)
            .channelInitializer { channel in channel.pipeline.addHandler(keeper) }
            .connect(host: "127.0.0.1", port: port).get()
        return RawClient(channel, keeper)
    }

    private init(_ channel: any Channel, _ keeper: Keeper) {
        self.channel = channel
        self.keeper = keeper
    }

    public func send(_ bytes: some Sequence<UInt8>) async throws {
        try await channel.writeAndFlush(ByteBuffer(bytes: bytes)).get()
    }

    public func send(_ text: String) async throws { try await send(text.utf8) }

    /// Everything received that has not been taken.
    public var received: [UInt8] { keeper.state.withLock { Array($0.received[$0.taken...]) } }
    /// Total number of bytes received.
    public var receivedCount: Int { keeper.state.withLock { $0.total } }

    /// For a client created with `reads: false`.
    public func startReading() async throws { try await channel.setOption(.autoRead, value: true).get() }

    /// Whether the server has closed its side, or the connection was lost.
    public var isEnded: Bool { keeper.state.withLock { $0.isEnded } }

    /// Waits until `parse` recognises something in the received bytes; it returns that, and the number of bytes it used.
    public func take<R: Sendable>(
        _ what: String, _ parse: @Sendable (ArraySlice<UInt8>) -> (R, Int)?
    ) async throws -> R {
        var result: R?
        try await waitUntil("\(what); \(received.count) bytes have come, ended: \(isEnded)") {
            let isEnded = isEnded
            result = keeper.state.withLock { state in
                guard let (parsed, count) = parse(state.received[state.taken...]) else { return nil }
                state.take(count)
                return parsed
            }
            if result == nil, isEnded { throw WaitedInVain(description: "the end came before \(what)") }
            return result != nil
        }
        return result!
    }

    /// Waits for the end and returns everything received before it.
    public func rest() async throws -> String {
        try await waitUntil("the end of the connection") { isEnded }
        return String(decoding: received, as: UTF8.self)
    }

    public func close() async { try? await channel.close().get() }
}
