import ArgumentParser
import AsyncHTTPClient
import Broker
import ChannelLayer
import Foundation
import Gateway
import Logging
import NIOCore
import NIOPosix
import Operations
import RedisClient
import Sockets
import Synchronization

struct GatewayCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "gateway",
        abstract: "Run a gateway: WebSockets on one side, Redis on the other.",
        discussion: """
            Any number of gateways share one Redis. SIGTERM drains: /readyz turns red, then the clients are closed with \
            1012 over gateway.drain_seconds. A second SIGTERM ends at once. SIGINT (Ctrl-C) is the same. SIGHUP reads the files \
            of gateway.tls again, and does nothing where there are none.

            A configuration to begin with:
              routes:
                - { path: "/ws/{room}", groups: ["{room}"] }
              gateway:
                allowed_hosts: ["example.com"]
            """)

    @Option(name: .long, help: ArgumentHelp("Where clients connect. Default 0.0.0.0:8080.", valueName: "host:port"))
    var bind: String?

    @Option(
        name: .long,
        help: ArgumentHelp("Health, metrics and the HTTP API. Default 127.0.0.1:9090.", valueName: "host:port"))
    var admin: String?

    @Option(
        name: .long, help: ArgumentHelp("The gateway's name. Default: gw- and 16 random hex digits.", valueName: "name")
    )
    var id: String?

    @OptionGroup var options: ConfigurationOptions

    private func load() throws -> Configuration {
        var configuration = try options.load()
        if let bind {
            guard let address = HostAndPort(bind) else { throw ConfigurationError("--bind must be HOST:PORT") }
            configuration.gateway.bind = address
        }
        if let admin {
            guard let address = HostAndPort(admin) else { throw ConfigurationError("--admin must be HOST:PORT") }
            configuration.gateway.admin = address
        }
        if let id {
            configuration.gateway.id = try Configuration.gatewayID(
                id, ConfigurationError("--id \(Configuration.idRule)"))
        }
        return configuration
    }

    func run() async throws {
        let configuration = try load()
        let gatewayID = configuration.gateway.id ?? "gw-\(ConnectionID.random())"
        var logger = Logger(label: "tocsin") { _ in LineLogHandler(settings: configuration.log) }
        logger[metadataKey: "gateway"] = "\(gatewayID)"
        let access = try AdminAccess(key: try configuration.adminKey(), host: configuration.gateway.admin.host)
        // A file that cannot be used prevents the start.
        let targets = try configuration.escalations.map { ($0, try $0.escalationTarget()) }
        FileLimit.raise()
        let end = Signals.End()
        let lesser = LesserSignals()

        // Logins and the admin port have threads separate from the clients'. Redis shares a clients' thread where it can, which
        // saves one wake-up per message.
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let clients = try ClientThreads(configuration.gateway, logger: logger)
        Task { [logger] in await lesser.obey(logger: logger, reload: clients.reloadCredentials) }
        let metrics = Metrics()
        let hosts = configuration.redis.hosts
        let readiness = Readiness()
        let eviction = Eviction()
        let administration = LayerAdministration(
            waitReplicas: configuration.redis.waitReplicas, outbound: configuration.outbound, logger: logger)
        let admin = try await PortHolder.named(configuration.gateway.admin) {
            try await AdminServer.start(
                host: configuration.gateway.admin.host, port: configuration.gateway.admin.port, access: access,
                readiness: readiness, metrics: metrics, administration: administration, on: group)
        }
        let backplane = try await ShardedBackplane.start(
            configuration.layers(gatewayID: gatewayID, logger: logger), on: clients.redisLoop(hosts) ?? group.any(),
            metrics: metrics,
            logger: logger,
            onReadiness: { reasons, remarks in
                readiness.set(.redis, reasons)
                readiness.remark(remarks)
            },
            onNameTaken: { reason in
                eviction.set(reason)
                end.come()
            })
        administration.use(backplane.inspector)
        let http = HTTPClient(eventLoopGroupProvider: .shared(group), configuration: Self.httpSettings)
        let logins = try await Logins.start(configuration, http: http, on: group.any(), logger: logger)
        let server: GatewayServer
        do {
            server = try await PortHolder.named(configuration.gateway.bind) {
                try await clients.serve(
                    configuration.gatewayConfiguration(name: gatewayID), logins.authenticators, backplane,
                    siteClient: http, metrics, logger)
            }
        } catch {
            // The gateway failed to start: give its lease back, so that nobody waits for it.
            await backplane.stop()
            throw error
        }
        let senders: EscalationSenders
        do {
            senders = try EscalationSenders(
                targets, backplane, on: group, metrics: metrics, logger: logger)
        } catch {
            await backplane.stop()
            throw error
        }
        await senders.start()
        let watch = clients.watchCredentials()
        readiness.set(.starting, false)
        if configuration.routes.isEmpty { logger.warning("no routes are configured: every path is answered 404") }
        logger.notice(
            "listening",
            metadata: [
                "clients": "\(HostAndPort(host: configuration.gateway.bind.host, port: server.port))",
                "admin": "\(Self.text(admin.address))",
                "tls": "\(configuration.gateway.tls != nil)",
                "redis": "\(hosts.map(\.description).joined(separator: " "))",
                "version": "\(Tocsin.version)",
            ])

        await end.wait()
        if let reason = eviction.reason { logger.error("ending: \(reason)") }
        logger.notice("draining", metadata: ["connections": "\(server.connections)"])
        readiness.set(.draining, true)
        await server.drain()
        await senders.stop()
        await backplane.stop()
        await logins.stop()
        watch.cancel()
        clients.stop()
        try? await http.shutdown()
        await admin.stop()
        logger.notice("stopped")
        if eviction.reason != nil { throw ExitCode.failure }
    }

    /// Why the gateway stops without being asked to.
    private final class Eviction: Sendable {
        private let text = Mutex<String?>(nil)
        var reason: String? { text.withLock { $0 } }
        func set(_ reason: String) { text.withLock { $0 = $0 ?? reason } }
    }

    private static func text(_ address: SocketAddress?) -> String {
        guard let address, let host = address.ipAddress, let port = address.port else { return "?" }
        return HostAndPort(host: host, port: port).description
    }

    /// Settings of the HTTP client that authenticators use.
    static var httpSettings: HTTPClient.Configuration {
        var settings = HTTPClient.Configuration()
        settings.redirectConfiguration = .disallow
        settings.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = 64
        settings.httpVersion = .http1Only
        // Report a site that is down to the browser immediately; the browser will retry.
        settings.connectionPool.retryConnectionEstablishment = false
        return settings
    }
}

extension Configuration {
    /// - Throws: `ConfigurationError` when its file cannot be read.
    func adminKey() throws(ConfigurationError) -> String? {
        guard let file = gateway.adminKeyFile else { return gateway.adminKey }
        guard let text = try? String(contentsOfFile: file, encoding: .utf8) else {
            throw ConfigurationError("gateway.admin_key_file: cannot read \(file)")
        }
        return text.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// The channel layer's configuration on each of `redis.hosts`.
    func layers(gatewayID: String, logger: Logger) throws -> [LayerConfiguration] {
        try redis.hosts.indices.map { try layer(shard: $0, gatewayID: gatewayID, logger: logger) }
    }

    private func layer(shard: Int, gatewayID: String, logger: Logger) throws -> LayerConfiguration {
        var layer = LayerConfiguration(
            redis.layer,
            redis: try redisConfiguration(redis.hosts[shard], clientName: "tocsin-\(gatewayID)", logger: logger),
            gatewayID: gatewayID)
        layer.shard = ShardPlace(index: shard, of: redis.hosts.count)
        layer.encryption = FernetKeys(try redis.encryption.keys())
        layer.gatewayFields = [
            "version": Tocsin.version, "host": ProcessInfo.processInfo.hostName, "bind": "\(gateway.bind)",
            "pid": "\(ProcessInfo.processInfo.processIdentifier)",
            "started": Date().formatted(.iso8601),
        ]
        return layer
    }

    /// The gateway's settings: as configured, plus what is known only at startup.
    func gatewayConfiguration(name: String) throws -> GatewayConfiguration {
        var settings = gateway.server
        settings.name = name
        if settings.demoPage { settings.demoCommand = try demoCommand }
        return settings
    }
}
