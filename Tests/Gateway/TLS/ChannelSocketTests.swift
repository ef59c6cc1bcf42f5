import NIOCore
import NIOPosix
import Sockets
import Synchronization
import TestSupport
import Testing

/// The contract of `StreamSocket`, over a channel.
struct ChannelSocketTests {
    /// Records events; used on the socket's loop like the socket itself.
    private final class Owner: StreamSocketOwner {
        var events: [String] = []
        func received(_ bytes: ByteBuffer) { events.append(String(buffer: bytes)) }
        func becameWritable() { events.append("room") }
        func ended() { events.append("ended") }
    }

    /// Holds written bytes until the flush, as TLS does.
    private final class Keeper: ChannelOutboundHandler {
        typealias OutboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer
        private var kept: [ByteBuffer] = []

        func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
            kept.append(unwrapOutboundIn(data))
        }

        func flush(context: ChannelHandlerContext) {
            for bytes in kept { context.write(wrapOutboundOut(bytes), promise: nil) }
            kept = []
            context.flush()
        }
    }

    private struct House: Sendable {
        let loop: any EventLoop
        let socket: NIOLoopBound<ChannelSocket>
        let owner: NIOLoopBound<Owner>
        let client: RawClient

        func on<R: Sendable>(_ body: @escaping @Sendable (ChannelSocket, Owner) throws -> R) async throws -> R {
            try await loop.submit { try body(socket.value, owner.value) }.get()
        }

        func wait(for events: [String]) async throws {
            var last: [String] = []
            try await waitUntil("\(events), not \(last)") {
                last = try await on { _, owner in owner.events }
                return last == events
            }
        }
    }

    private func run(reads: Bool = true, keepsOpen: Bool = false, _ body: (House) async throws -> Void) async throws {
        let found = Mutex<(NIOLoopBound<ChannelSocket>, NIOLoopBound<Owner>)?>(nil)
        let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelOption(.writeBufferWaterMark, value: .init(low: 16 << 10, high: 64 << 10))
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let peer = PeerAddress(channel.remoteAddress!)!
                    let socket = ChannelSocket(peer: peer, high: 64 << 10, eventLoop: channel.eventLoop)
                    let owner = Owner()
                    socket.owner = owner
                    try channel.pipeline.syncOperations.addHandlers(Keeper(), socket)
                    found.withLock {
                        $0 = (
                            NIOLoopBound(socket, eventLoop: channel.eventLoop),
                            NIOLoopBound(owner, eventLoop: channel.eventLoop)
                        )
                    }
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let client = try await RawClient.connect(
            port: listener.localAddress!.port!, reads: reads, keepsOpen: keepsOpen)
        try await waitUntil("the connection") { found.withLock { $0 != nil } }
        let (socket, owner) = found.withLock { $0! }
        try await body(House(loop: socket.eventLoop, socket: socket, owner: owner, client: client))
        await client.close()
        try await listener.close().get()
    }

    @Test func `Bytes come and go, and the peer is who it is`() async throws {
        try await run { house in
            try await house.client.send("hello")
            try await house.wait(for: ["hello"])
            let address = try await house.on { socket, _ in
                socket.write(ByteBuffer(string: "there"))
                #expect(socket.pendingBytes == 5)
                socket.flush()
                #expect(socket.pendingBytes == 0 && socket.isWritable && socket.unansweredSeconds == 0)
                return socket.peer.socketAddress?.ipAddress
            }
            #expect(address == "127.0.0.1")
            try await waitUntil("the answer") { house.client.received == Array("there".utf8) }
        }
    }

    @Test(arguments: [true, false])
    func `A full socket is not writable until there is room, and then says so once`(flushes: Bool) async throws {
        try await run(reads: false) { house in
            try await house.on { socket, owner in
                var count = 0
                while socket.isWritable {
                    socket.write(ByteBuffer(repeating: 0x61, count: 8 << 10))
                    if flushes { socket.flush() }
                    count += 1
                }
                #expect(count > 8 && socket.pendingBytes > 64 << 10)
                if !flushes { #expect(count == 9) }
                #expect(owner.events.isEmpty)
                // Reported after the call, not during it.
                socket.flush()
                #expect(owner.events.isEmpty)
            }
            try await house.client.startReading()
            try await house.wait(for: ["room"])
            try await house.on { socket, _ in #expect(socket.isWritable) }
        }
    }

    @Test func `After close the owner hears of the end alone, once, and behind the call`() async throws {
        try await run { house in
            try await house.on { socket, owner in
                socket.write(ByteBuffer(string: "lost"))
                socket.close()
                socket.close()
                socket.write(ByteBuffer(string: "forgotten"))
                socket.flush()
                socket.finish()
                #expect(owner.events.isEmpty && !socket.isWritable && socket.pendingBytes == 0)
                #expect(socket.unansweredSeconds == 0)
            }
            try await house.wait(for: ["ended"])
            try await waitUntil("the end") { house.client.isEnded }
            try await house.on { socket, _ in #expect(socket.owner == nil) }
        }
    }

    @Test func `finish sends what waits, then the end, and goes on to read`() async throws {
        try await run(reads: false, keepsOpen: true) { house in
            try await house.on { socket, _ in
                socket.write(ByteBuffer(repeating: 0x61, count: 8 << 20))
                socket.finish()
                #expect(!socket.isWritable)
                socket.write(ByteBuffer(string: "too late"))
                socket.flush()
            }
            try await house.client.send("still here")
            try await house.wait(for: ["still here"])
            try await house.client.startReading()
            try await waitUntil("everything") { house.client.isEnded }
            #expect(house.client.receivedCount == 8 << 20)
            try await house.on { _, owner in #expect(owner.events == ["still here"]) }
            await house.client.close()
            try await house.wait(for: ["still here", "ended"])
        }
    }
}
