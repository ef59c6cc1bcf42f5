public import AsyncHTTPClient
public import Broker
public import Logging
import NIOCore
public import NIOPosix
public import Sockets

/// The client port: a listener, one shard per event loop, and the drain at shutdown.
public final class GatewayServer: Sendable {
    private let state: GatewayState
    let shards: [NIOLoopBound<Shard>]
    let loops: [any EventLoop]
    private let clientPort: any ClientPort

    /// The port it listens on; useful when the configuration asked for port 0.
    public var port: Int { clientPort.port }

    /// Binds and serves without TLS.
    ///
    /// - Parameter loops: threads for the clients, at least one. They outlive the server.
    /// - Throws: when the address cannot be bound; the error names it.
    public static func start(
        _ configuration: GatewayConfiguration, authenticators: [String: any Authenticator], backplane: any Backplane,
        siteClient: HTTPClient? = nil, loops: [SocketLoop], metrics: Metrics, logger: Logger
    ) async throws -> GatewayServer {
        let state = GatewayState(
            GatewaySettings(configuration, authenticators: authenticators, siteClient: siteClient),
            backplane: backplane,
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

    /// Binds and serves with TLS only.
    ///
    /// - Parameter group: threads for the clients. They outlive the server.
    /// - Throws: when the address cannot be bound; the error names it.
    public static func start(
        _ configuration: GatewayConfiguration, credentials: ServerCredentials,
        authenticators: [String: any Authenticator], backplane: any Backplane, siteClient: HTTPClient? = nil,
        group: MultiThreadedEventLoopGroup,
        metrics: Metrics, logger: Logger
    ) async throws -> GatewayServer {
        let state = GatewayState(
            GatewaySettings(configuration, authenticators: authenticators, siteClient: siteClient),
            backplane: backplane,
            metrics: GatewayMetrics(metrics), logger: logger)
        let loops = Array(group.makeIterator())
        return try await start(state, loops) { shards in
            let intake = EncryptedIntake(group: group, shards: shards, state: state, credentials: credentials)
            return EncryptedPort(channel: try await intake.listen(on: loops))
        }
    }

    /// Makes a shard on each loop, attaches them to the backplane, then opens the listening socket.
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

    /// Closes everything gracefully: new handshakes are refused (balancers send them to another gateway), and connections are
    /// closed with 1012 one by one over the drain time, so that clients do not all reconnect at the same moment.
    ///
    /// Returns when all connections are closed, or when the time is over.
    public func drain() async {
        state.startDraining()
        let total = Duration.seconds(state.initial.configuration.drainSeconds)
        let end = ContinuousClock.now + total
        // Balancers poll /readyz every second or two and should notice before clients are closed.
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
        // If the machine was too busy to keep the schedule, close the rest late rather than without a close frame.
        await closeSome(progress: 1)
        await stop()
    }

    /// Ends all connections immediately. The loops belong to the caller and keep running.
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

/// Why a gateway cannot start.
public struct GatewayError: Error, Sendable, CustomStringConvertible {
    public let description: String
    init(_ description: String) { self.description = description }
}
