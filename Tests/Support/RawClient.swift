import NIOCore
import NIOPosix
import Synchronization

/// A bare TCP connection: what a test sends is on the wire as it stands, and what comes back is kept as it came.
public final class RawClient: Sendable {
    private struct State {
        var received: [UInt8] = []
        var taken = 0
        var total = 0
        var isEnded = false

        mutating func take(_ count: Int) {
            taken += count
            // Not at each step: the bytes behind would be moved each time.
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
    ///   - reads: false: it never takes a byte, as a client that hangs.
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

    /// Everything that has come and has not been taken.
    public var received: [UInt8] { keeper.state.withLock { Array($0.received[$0.taken...]) } }
    /// How many bytes have come in all.
    public var receivedCount: Int { keeper.state.withLock { $0.total } }

    /// For a client that was made with `reads: false`.
    public func startReading() async throws { try await channel.setOption(.autoRead, value: true).get() }

    /// The server has closed its side, or the connection is gone.
    public var isEnded: Bool { keeper.state.withLock { $0.isEnded } }

    /// Waits until `parse` makes something of what has come; it answers with that and how many bytes were its.
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

    /// Waits for the end and returns all that came before it.
    public func rest() async throws -> String {
        try await waitUntil("the end of the connection") { isEnded }
        return String(decoding: received, as: UTF8.self)
    }

    public func close() async { try? await channel.close().get() }
}
