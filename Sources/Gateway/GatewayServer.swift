public import Broker
public import Logging
public import NIOCore
public import NIOPosix

/// The client port: a listener, a shard for each event loop, and the drain at the end.
public final class GatewayServer: Sendable {
    private let state: GatewayState
    private let shards: [NIOLoopBound<Shard>]
    private let loops: [any EventLoop]
    private let listener: any Channel

    /// Binds and serves.
    ///
    /// - Throws: when the address cannot be bound; the error names it.
    public static func start(
        _ configuration: GatewayConfiguration, authenticators: [String: any Authenticator], backplane: any Backplane,
        on group: MultiThreadedEventLoopGroup, metrics: Metrics, logger: Logger
    ) async throws -> GatewayServer {
        let state = GatewayState(
            configuration, authenticators: authenticators, backplane: backplane, metrics: GatewayMetrics(metrics),
            logger: logger)
        let loops = Array(group.makeIterator())
        var shards: [NIOLoopBound<Shard>] = []
        for (index, loop) in loops.enumerated() {
            shards.append(
                try await loop.submit {
                    let shard = Shard(state, eventLoop: loop, index: index)
                    shard.start()
                    return NIOLoopBound(shard, eventLoop: loop)
                }.get())
        }
        backplane.attach(zip(shards, loops).map { ShardOutlet(shard: $0, eventLoop: $1) })
        let byLoop = Dictionary(uniqueKeysWithValues: zip(loops.map { ObjectIdentifier($0) }, shards))
        let listener: any Channel
        do {
            listener = try await ServerBootstrap(group: group)
                .serverChannelOption(.backlog, value: 4096)
                .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
                .childChannelOption(
                    .writeBufferWaterMark,
                    value: .init(low: configuration.maximumPendingBytes / 4, high: configuration.maximumPendingBytes)
                )
                .childChannelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 2048))
                .childChannelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        let shard = byLoop[ObjectIdentifier(channel.eventLoop)]!.value
                        try HandshakeHandler.install(in: channel, shard: shard)
                    }
                }
                .bind(host: configuration.host, port: configuration.port).get()
        } catch {
            throw GatewayError("cannot listen on \(configuration.host):\(configuration.port): \(error)")
        }
        return GatewayServer(state, shards: shards, loops: loops, listener: listener)
    }

    private init(_ state: GatewayState, shards: [NIOLoopBound<Shard>], loops: [any EventLoop], listener: any Channel) {
        self.state = state
        self.shards = shards
        self.loops = loops
        self.listener = listener
    }

    /// Where it listens: tells the port when the configuration asked for port 0.
    public var address: SocketAddress? { listener.localAddress }

    public var connections: Int { state.admittedCount }

    /// Closes everything politely: new handshakes are refused (they go to another gateway), and the connections are
    /// closed with 1012 one by one over the drain's time, so that their clients do not all come back at once.
    ///
    /// Returns when nobody is left, or when the time is over.
    public func drain() async {
        state.startDraining()
        let total = Duration.seconds(state.configuration.drainSeconds)
        let end = ContinuousClock.now + total
        // Balancers look every second or two: they learn from /readyz that this gateway goes before its clients do.
        let grace = min(total / 5, .seconds(2))
        try? await Task.sleep(for: grace)
        try? await listener.close().get()
        let closing = total - grace - min(total / 5, .seconds(2))
        let began = ContinuousClock.now
        while ContinuousClock.now < end, await openConnections() > 0 {
            let passed = ContinuousClock.now - began
            await closeSome(progress: closing > .zero ? passed / closing : 1)
            try? await Task.sleep(for: .milliseconds(50))
        }
        // On a machine that was too busy to count the time: told late is better than not told.
        await closeSome(progress: 1)
        for loop in zip(shards, loops) { _ = try? await loop.1.submit { loop.0.value.stop() }.get() }
    }

    private func openConnections() async -> Int {
        var count = 0
        for (shard, loop) in zip(shards, loops) {
            count += (try? await loop.submit { shard.value.openCount }.get()) ?? 0
        }
        return count
    }

    private func closeSome(progress: Double) async {
        for (shard, loop) in zip(shards, loops) {
            _ = try? await loop.submit { shard.value.drain(progress: progress) }.get()
        }
    }
}

/// What keeps a gateway from starting.
public struct GatewayError: Error, Sendable, CustomStringConvertible {
    public let description: String
    init(_ description: String) { self.description = description }
}
