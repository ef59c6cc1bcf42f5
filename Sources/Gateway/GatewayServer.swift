public import Broker
public import Logging
import NIOCore
public import NIOPosix
public import Sockets

/// The client port: a listener, a shard for each event loop, and the drain at the end.
public final class GatewayServer: Sendable {
    private let state: GatewayState
    private let shards: [NIOLoopBound<Shard>]
    private let loops: [any EventLoop]
    private let clientPort: any ClientPort

    /// Where it listens: tells when the configuration asked for port 0.
    public var port: Int { clientPort.port }

    /// Binds and serves without TLS.
    ///
    /// - Parameter loops: threads for the clients, one at least. They outlive the server.
    /// - Throws: when the address cannot be bound; the error names it.
    public static func start(
        _ configuration: GatewayConfiguration, authenticators: [String: any Authenticator], backplane: any Backplane,
        loops: [SocketLoop], metrics: Metrics, logger: Logger
    ) async throws -> GatewayServer {
        let state = GatewayState(
            GatewaySettings(configuration, authenticators: authenticators), backplane: backplane,
            metrics: GatewayMetrics(metrics), logger: logger)
        return try await start(state, loops) { shards in
            let intake = Intake(loops: loops, shards: shards, state: state)
            return try await loops[0].submit {
                let listener = try intake.listen()
                return PlainPort(
                    listener: NIOLoopBound(listener, eventLoop: loops[0]), loop: loops[0], port: listener.port)
            }.get()
        }
    }

    /// Binds and serves with TLS, and only with it.
    ///
    /// - Parameter group: threads for the clients. They outlive the server.
    /// - Throws: when the address cannot be bound; the error names it.
    public static func start(
        _ configuration: GatewayConfiguration, credentials: ServerCredentials,
        authenticators: [String: any Authenticator], backplane: any Backplane, group: MultiThreadedEventLoopGroup,
        metrics: Metrics, logger: Logger
    ) async throws -> GatewayServer {
        let state = GatewayState(
            GatewaySettings(configuration, authenticators: authenticators), backplane: backplane,
            metrics: GatewayMetrics(metrics), logger: logger)
        let loops = Array(group.makeIterator())
        return try await start(state, loops) { shards in
            let intake = EncryptedIntake(group: group, shards: shards, state: state, credentials: credentials)
            return EncryptedPort(channel: try await intake.listen(on: loops))
        }
    }

    /// A shard on each loop, whom the backplane delivers to, and then the listening socket.
    private static func start(
        _ state: GatewayState, _ loops: [any EventLoop],
        listen: ([NIOLoopBound<Shard>]) async throws -> any ClientPort
    ) async throws -> GatewayServer {
        var shards: [NIOLoopBound<Shard>] = []
        for (index, loop) in loops.enumerated() {
            shards.append(
                try await loop.submit {
                    let shard = Shard(state, eventLoop: loop, index: index)
                    shard.start()
                    return NIOLoopBound(shard, eventLoop: loop)
                }.get())
        }
        state.backplane.attach(zip(shards, loops).map { ShardOutlet(shard: $0, eventLoop: $1) })
        do {
            return GatewayServer(state, shards: shards, loops: loops, clientPort: try await listen(shards))
        } catch {
            let address = state.initial.configuration.bind
            throw GatewayError("cannot listen on \(address): \(error)")
        }
    }

    private init(
        _ state: GatewayState, shards: [NIOLoopBound<Shard>], loops: [any EventLoop], clientPort: any ClientPort
    ) {
        self.state = state
        self.shards = shards
        self.loops = loops
        self.clientPort = clientPort
    }

    public var connections: Int { state.admission.count }

    /// Closes everything politely: new handshakes are refused (they go to another gateway), and the connections are
    /// closed with 1012 one by one over the drain's time, so that their clients do not all come back at once.
    ///
    /// Returns when nobody is left, or when the time is over.
    public func drain() async {
        state.startDraining()
        let total = Duration.seconds(state.initial.configuration.drainSeconds)
        let end = ContinuousClock.now + total
        // Balancers look every second or two: they learn from /readyz that this gateway goes before its clients do.
        let grace = min(total / 5, .seconds(2))
        try? await Task.sleep(for: grace)
        await clientPort.close()
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
        await clientPort.close()
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
