import Broker
import Gateway
import NIOCore
import RedisClient

/// Everything that can be configured, after flags, environment, file and defaults: docs/configuration.md.
struct Configuration {
    struct Redis {
        var hosts = ["redis://127.0.0.1:6379/3"]
        var prefix = "asgi"
        var encryption = LayerEncryption()
        var groupExpiry = 86_400
        var refreshSeconds: Int?
        var waitReplicas = 0
        var commandTimeout = TimeAmount.seconds(2)
        /// PEM file of the authorities that may sign the server's certificate (`rediss://`): short for `tls.ca_file`.
        var caFile: String?
        var tls: RedisTLS?
    }

    struct GatewayPart {
        var bind = HostAndPort(host: "0.0.0.0", port: 8080)
        var admin = HostAndPort(host: "127.0.0.1", port: 9090)
        /// What the admin port's API wants to be shown; or the file that has it.
        var adminKey: String?
        var adminKeyFile: String?
        var id: String?
        var allowedHosts: [String] = []
        var maximumConnections = 100_000
        var maximumConnectionsPerAddress = 0
        var maximumConnectionsPerUser = 0
        var maximumHandshakesPerSecond = 0
        var maximumMessagesPerSecond = 100
        var maximumJoinsPerSecond = 20
        var maximumGroups = 128
        var maximumMessageBytes = 65_536
        var maximumFragments = 64
        var maximumPendingBytes = 65_536
        var maximumUnloggedBytes = 1 << 20
        var slowSeconds = 120
        var drainSeconds = 30
        var pingSeconds = 20
        var pongSeconds = 10
        var compression = CompressionConfiguration()
        /// nil: the client port speaks without TLS.
        var tls: TLSSettings?
        /// Trusted proxies begin with the PROXY protocol's header.
        var proxyProtocol = false
        var trustedProxies = TrustedNetworks.none
        var demoPage = false
        /// Where the people who see the page find the Redis, if not where the gateway finds it.
        var demoRedis: RedisAddress?
        /// Event loops. Default: one per core.
        var threads: Int?
    }

    enum Authentication {
        case header(header: String, trusted: TrustedNetworks)
        case callback(CallbackAuthenticator.Configuration)
        case jwt(TokenLogin)
        case djangoSession(SessionLogin)
    }

    var redis = Redis()
    var gateway = GatewayPart()
    var authentication: [String: Authentication] = [:]
    var routes: [Route] = []
    var groups: [GroupPolicy] = []
    var log = LogSettings()
}
