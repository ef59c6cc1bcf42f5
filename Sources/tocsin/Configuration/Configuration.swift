import Broker
import ChannelLayer
import Gateway
import NIOCore
import RedisClient

/// The complete configuration, from flags, environment, file and defaults: docs/configuration.md.
struct Configuration {
    /// The keys under `redis:`. The settings of the ChannelLayer module are read into its own struct, in place.
    @dynamicMemberLookup
    struct Redis {
        /// One, or the servers of channels_redis' ring in its order.
        var hosts = [
            RedisHost.server(RedisAddress(transport: .tcp(host: "127.0.0.1", port: 6379), user: nil, password: nil))
        ]
        var layer = LayerSettings()
        var encryption = LayerEncryption()
        var commandTimeout = TimeAmount.seconds(2)
        /// PEM file of the authorities that may sign the server's certificate (`rediss://`); short for `tls.ca_file`.
        var caFile: String?
        var tls: RedisTLS?

        /// Which of `hosts` has a group.
        var router: ShardRouter<Int> { ShardRouter(Array(hosts.indices)) }

        subscript<Value>(dynamicMember key: WritableKeyPath<LayerSettings, Value>) -> Value {
            get { layer[keyPath: key] }
            set { layer[keyPath: key] = newValue }
        }
    }

    /// The keys under `gateway:`. Settings of the Gateway module are stored in its own configuration.
    @dynamicMemberLookup
    struct GatewayPart {
        var server = GatewayConfiguration(host: "0.0.0.0", port: 8080, allowedHosts: AllowedHosts([]), routes: [])
        var admin = HostAndPort(host: "127.0.0.1", port: 9090)
        /// The key that the admin port's API requires; or the file that has it.
        var adminKey: String?
        var adminKeyFile: String?
        var id: String?
        /// nil: the client port does not use TLS.
        var tls: TLSSettings?
        /// The Redis that users of the demo page should use, if not the address that the gateway uses.
        var demoRedis: RedisAddress?
        /// Number of event loops. Default: one per core.
        var threads: Int?

        subscript<Value>(dynamicMember key: WritableKeyPath<GatewayConfiguration, Value>) -> Value {
            get { server[keyPath: key] }
            set { server[keyPath: key] = newValue }
        }
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
    var routes: [Route] {
        get { gateway.routes }
        set { gateway.routes = newValue }
    }
    /// The keys under `escalations:`.
    var escalations: [EscalationSettings] = []
    /// The keys under `groups:`.
    var groups: [GroupPolicy] {
        get { redis.policies }
        set { redis.policies = newValue }
    }
    var log = LogSettings()
}
