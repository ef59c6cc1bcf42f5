public import Broker
public import Logging
import NIOCore
public import Sockets

/// The client port: a listener, a shard for each event loop, and the drain at the end.
public final class GatewayServer: Sendable {
    private let state: GatewayState
    private let loops: [SocketLoop]
    private let shards: [NIOLoopBound<Shard>]
    private let listener: NIOLoopBound<Listener>
    /// Where it listens: tells when the configuration asked for port 0.
    public let port: Int

    /// Binds and serves.
    ///
    /// - Parameter loops: threads for the clients, one at least. They outlive the server.
    /// - Throws: when the address cannot be bound; the error names it.
    public static func start(
        _ configuration: GatewayConfiguration, authenticators: [String: any Authenticator], backplane: any Backplane,
        loops: [SocketLoop], metrics: Metrics, logger: Logger
    ) async throws -> GatewayServer {
        let state = GatewayState(
            configuration, authenticators: authenticators, backplane: backplane, metrics: GatewayMetrics(metrics),
            logger: logger)
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
        let intake = Intake(loops: loops, shards: shards, state: state)
        do {
            let listener = try await loops[0].submit { NIOLoopBound(try intake.listen(), eventLoop: loops[0]) }.get()
            let port = try await loops[0].submit { listener.value.port }.get()
            return GatewayServer(state, loops: loops, shards: shards, listener: listener, port: port)
        } catch {
            throw GatewayError("cannot listen on \(configuration.host):\(configuration.port): \(error)")
        }
    }

    private init(
        _ state: GatewayState, loops: [SocketLoop], shards: [NIOLoopBound<Shard>], listener: NIOLoopBound<Listener>,
        port: Int
    ) {
        self.state = state
        self.loops = loops
        self.shards = shards
        self.listener = listener
        self.port = port
    }

    public var connections: Int { state.admission.count }

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
        try? await loops[0].submit { self.listener.value.close() }.get()
        let closing = total - grace - min(total / 5, .seconds(2))
        let began = ContinuousClock.now
        while ContinuousClock.now < end, await openConnections() > 0 {
            let passed = ContinuousClock.now - began
            await closeSome(progress: closing > .zero ? passed / closing : 1)
            try? await Task.sleep(for: .milliseconds(50))
        }
        // On a machine that was too busy to count the time: told late is better than not told.
        await closeSome(progress: 1)
        await stop()
    }

    /// Ends all connections at once. The loops stay: they are their maker's.
    public func stop() async {
        _ = try? await loops[0].submit { self.listener.value.close() }.get()
        for (shard, loop) in zip(shards, loops) { _ = try? await loop.submit { shard.value.stop() }.get() }
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
