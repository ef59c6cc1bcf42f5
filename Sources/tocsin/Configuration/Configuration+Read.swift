import Broker
import ChannelLayer
import Gateway
import NIOCore
import RedisClient
import Yams

extension Configuration {
    /// Reads YAML text and the environment.
    ///
    /// - Throws: `ConfigurationError`, which names the key.
    init(yaml: String, environment: [String: String]) throws(ConfigurationError) {
        let root: Node?
        do {
            root = try Yams.compose(yaml: yaml)
        } catch {
            throw ConfigurationError("the configuration is not valid YAML: \(error)")
        }
        let reader = try ConfigurationReader(path: "", node: root, environment: environment)
        redis = try Self.redis(reader.section("redis"), environment)
        gateway = try Self.gateway(reader.section("gateway"))
        log = try LogSettings(reader.section("log"))
        let logins = try reader.named("auth")
        for (name, entry) in logins { authentication[name] = try Self.authentication(entry) }
        try ConfigurationReader.checkEnvironment(of: "auth", entries: logins.map(\.reader), environment)
        for entry in try reader.sections("routes") { routes.append(try Self.route(entry, authentication)) }
        let targets = try reader.named("escalations")
        for (name, entry) in targets { escalations.append(try EscalationSettings(name, entry)) }
        try ConfigurationReader.checkEnvironment(of: "escalations", entries: targets.map(\.reader), environment)
        redis.targets = Dictionary(escalations.map { ($0.name, $0.target) }) { $1 }
        for entry in try reader.sections("groups") { groups.append(try Self.policy(entry, redis.targets)) }
        try reader.finish()
    }

    /// As in `redis/tocsin.lua`.
    private static let maximumHosts = 64

    private static func redis(
        _ reader: ConfigurationReader, _ environment: [String: String]
    ) throws(ConfigurationError) -> Redis {
        var redis = Redis()
        if let hosts = try RedisHost.list(reader, environment) { redis.hosts = hosts }
        guard (1...maximumHosts).contains(redis.hosts.count) else {
            throw reader.bad("hosts", "must name 1 to \(maximumHosts) Redis, not \(redis.hosts.count)")
        }
        if let prefix = try reader.text("prefix") {
            guard !prefix.isEmpty, prefix.utf8.allSatisfy({ (0x21...0x7e).contains($0) }) else {
                throw reader.bad("prefix", "must be one or more visible ASCII characters")
            }
            redis.prefix = prefix
        }
        try layer(reader, &redis)
        redis.encryption = try LayerEncryption(reader)
        redis.refreshInterval = try reader.integer("refresh_seconds", 1...86_400).map { .seconds(Int64($0)) }
        if let text = try reader.text("wait_replicas") {
            switch (text, Int(text)) {
            case ("all", _): redis.waitReplicas = .all
            case (_, let count?) where (0...16).contains(count): redis.waitReplicas = .count(count)
            default:
                throw reader.bad("wait_replicas", "must be a whole number from 0 to 16, or all, not \"\(text)\"")
            }
        }
        if let timeout = try reader.duration("command_timeout") {
            guard timeout > 0 else { throw reader.bad("command_timeout", "must be greater than zero") }
            redis.commandTimeout = .milliseconds(Int64(timeout))
        }
        redis.caFile = try reader.text("ca_file")
        redis.tls = try redisTLS(reader.section("tls"))
        if redis.caFile != nil, redis.tls?.caFile != nil {
            throw reader.bad("ca_file", "is set twice: here and in redis.tls.ca_file")
        }
        try reader.finish()
        return redis
    }

    /// What Django's `CHANNEL_LAYERS` says.
    private static func layer(_ reader: ConfigurationReader, _ redis: inout Redis) throws(ConfigurationError) {
        if let text = try reader.text("layer") {
            guard let version = LayerSettings.Version(rawValue: text) else {
                throw reader.bad("layer", "must be \"3\" (channels_redis 3 and 4) or \"2\", not \"\(text)\"")
            }
            redis.version = version
            if version == .two, try reader.text("prefix") == nil { redis.prefix = "asgi:" }
        }
        if let text = try reader.text("serializer") {
            guard let serializer = LayerSettings.Serializer(rawValue: text) else {
                throw reader.bad("serializer", "must be msgpack or json, not \"\(text)\"")
            }
            redis.serializer = serializer
        }
        if let capacity = try reader.integer("capacity", 1...1_000_000) { redis.capacity = capacity }
        if let expiry = try reader.integer("expiry", 1...315_360_000) { redis.expiry = expiry }
        if let length = try reader.integer("random_prefix_length", 0...64) { redis.randomPrefixLength = length }
        if let expiry = try reader.integer("group_expiry", 1...315_360_000) { redis.groupExpiry = expiry }
    }

    private static func gateway(_ reader: ConfigurationReader) throws(ConfigurationError) -> GatewayPart {
        var gateway = GatewayPart()
        func address(_ key: String, _ place: inout HostAndPort) throws(ConfigurationError) {
            guard let text = try reader.text(key) else { return }
            guard let address = HostAndPort(text) else { throw reader.bad(key, "must be HOST:PORT, not \"\(text)\"") }
            place = address
        }
        func number(
            _ key: String, _ range: ClosedRange<Int>, _ place: WritableKeyPath<GatewayConfiguration, Int>
        ) throws(ConfigurationError) {
            if let number = try reader.integer(key, range) { gateway.server[keyPath: place] = number }
        }
        try address("bind", &gateway.bind)
        try address("admin", &gateway.admin)
        gateway.adminKey = try reader.text("admin_key")
        gateway.adminKeyFile = try reader.text("admin_key_file")
        guard gateway.adminKey == nil || gateway.adminKeyFile == nil else {
            throw reader.bad("admin_key_file", "and admin_key are both there: keep one")
        }
        if let id = try reader.text("id") { gateway.id = try gatewayID(id, reader.bad("id", idRule)) }
        if let hosts = try reader.texts("allowed_hosts") { gateway.allowedHosts = AllowedHosts(hosts) }
        try number("max_connections", 1...10_000_000, \.maximumConnections)
        try number("max_connections_per_address", 0...10_000_000, \.maximumConnectionsPerAddress)
        try number("max_connections_per_user", 0...10_000_000, \.maximumConnectionsPerUser)
        try number("max_handshakes_per_second", 0...1_000_000, \.maximumHandshakesPerSecond)
        try number("max_messages_per_second", 0...1_000_000, \.maximumMessagesPerSecond)
        try number("max_joins_per_second", 0...1_000_000, \.maximumJoinsPerSecond)
        try number("max_groups", 1...10_000, \.maximumGroups)
        try number("max_message_bytes", 1...(16 << 20), \.maximumMessageBytes)
        try number("max_fragments", 1...(1 << 20), \.maximumFragments)
        try number("max_pending_bytes", 1024...(1 << 30), \.maximumPendingBytes)
        try number("max_unlogged_bytes", 1024...(1 << 30), \.maximumUnloggedBytes)
        try number("slow_seconds", 1...86_400, \.slowSeconds)
        try number("drain_seconds", 0...3600, \.drainSeconds)
        try number("ping_seconds", 1...60, \.pingSeconds)
        try number("pong_seconds", 1...60, \.pongSeconds)
        gateway.threads = try reader.integer("threads", 1...256)
        gateway.compression = try compression(reader.section("compression"))
        gateway.tls = try serverTLS(reader.section("tls"))
        gateway.trustedProxies = try trustedProxies(reader)
        if let flag = try reader.flag("proxy_protocol") { gateway.proxyProtocol = flag }
        if gateway.proxyProtocol, gateway.trustedProxies.isEmpty {
            throw reader.bad("trusted_proxies", "is missing: who may send the PROXY protocol, like [\"10.0.0.0/8\"]")
        }
        if let flag = try reader.flag("demo_page") { gateway.demoPage = flag }
        if let url = try reader.text("demo_redis") {
            do throws(RedisError) { gateway.demoRedis = try RedisAddress(url) } catch {
                throw reader.bad("demo_redis", ": \(error)")
            }
        }
        try reader.finish()
        return gateway
    }

    private static func compression(
        _ reader: ConfigurationReader
    ) throws(ConfigurationError) -> CompressionConfiguration {
        var compression = CompressionConfiguration()
        if let flag = try reader.flag("enabled") { compression.isEnabled = flag }
        if let bytes = try reader.integer("threshold", 0...(16 << 20)) { compression.threshold = bytes }
        if let level = try reader.integer("level", 1...9) { compression.level = level }
        if let bits = try reader.integer("window_bits", 9...15) { compression.windowBits = bits }
        try reader.finish()
        return compression
    }

    static let idRule = "must be 1 to 40 ASCII letters, digits, \"-\", \"_\" or \".\""

    /// Validates a gateway's name, which is part of channel names.
    static func gatewayID(_ text: String, _ error: ConfigurationError) throws(ConfigurationError) -> String {
        guard text.utf8.count <= 40, (try? GroupName(text)) != nil else { throw error }
        return text
    }

}
