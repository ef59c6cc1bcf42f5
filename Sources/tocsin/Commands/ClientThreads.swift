import AsyncHTTPClient
import Broker
import Gateway
import Logging
import NIOCore
import NIOPosix
import RedisClient
import Sockets

/// The threads that serve clients: own event loops for plain sockets, SwiftNIO's for TLS (docs/decisions.md).
struct ClientThreads {
    private enum Kind {
        case plain([SocketLoop])
        case encrypted(MultiThreadedEventLoopGroup, ServerCredentials)
    }
    private let kind: Kind

    /// - Throws: `GatewayError` when certificate or key cannot be read.
    init(_ settings: Configuration.GatewayPart, logger: Logger) throws {
        let count = max(settings.threads ?? System.coreCount, 1)
        if let tls = settings.tls {
            let credentials = try ServerCredentials(tls, logger: logger)
            kind = .encrypted(MultiThreadedEventLoopGroup(numberOfThreads: count), credentials)
        } else {
            kind = .plain((0..<count).map { SocketLoop(name: "clients-\($0)") })
        }
    }

    /// A loop of the clients that can also serve the connections to Redis; nil: none can.
    func redisLoop(_ hosts: [RedisHost]) -> (any EventLoop)? {
        switch kind {
        case .plain(let loops): hosts.contains(where: \.needsTLS) ? nil : loops[0]
        case .encrypted(let group, _): group.any()
        }
    }

    func serve(
        _ configuration: GatewayConfiguration, _ authenticators: [String: any Authenticator],
        _ backplane: any Backplane, siteClient: HTTPClient, _ metrics: Metrics, _ logger: Logger
    ) async throws -> GatewayServer {
        switch kind {
        case .plain(let loops):
            try await GatewayServer.start(
                configuration, authenticators: authenticators, backplane: backplane, siteClient: siteClient,
                loops: loops, metrics: metrics, logger: logger)
        case .encrypted(let group, let credentials):
            try await GatewayServer.start(
                configuration, credentials: credentials, authenticators: authenticators, backplane: backplane,
                siteClient: siteClient, group: group, metrics: metrics, logger: logger)
        }
    }

    /// Reloads certificate and key when they change, until the task is cancelled.
    func watchCredentials() -> Task<Void, Never> {
        guard case .encrypted(_, let credentials) = kind else { return Task {} }
        return Task { await credentials.watch() }
    }

    /// Reloads certificate and key now, or logs why they cannot be used.
    ///
    /// - Returns: whether TLS is in use.
    func reloadCredentials() -> Bool {
        guard case .encrypted(_, let credentials) = kind else { return false }
        credentials.reload()
        return true
    }

    func stop() {
        switch kind {
        case .plain(let loops): for loop in loops { loop.stop() }
        case .encrypted(let group, _): group.shutdownGracefully { _ in }
        }
    }
}
