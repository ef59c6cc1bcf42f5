import NIOCore
public import RedisClient

/// What one gateway's channel layer works with: the site's settings, and what is known only when the gateway starts.
@dynamicMemberLookup
public struct LayerConfiguration: Sendable {
    public var settings: LayerSettings
    public var redis: RedisConfiguration
    /// Which of the servers of `redis.hosts` this is. Default: the only one.
    public var shard = ShardPlace.only
    /// This gateway's name: part of the channel names of its connections.
    public var gatewayID: String
    /// How long a gateway counts as alive without a sign. Default 15 s.
    public var leaseSeconds = 15
    /// How long a sender waits for `waitReplicas`.
    public static let waitMilliseconds = 500
    /// Keys for messages of a Django site with `symmetric_encryption_keys`. Default: none.
    public var encryption = FernetKeys()
    /// Fields that `tocsin gateways` shows of this gateway: host, version, address.
    public var gatewayFields: [String: String] = [:]

    public init(_ settings: LayerSettings, redis: RedisConfiguration, gatewayID: String) {
        self.settings = settings
        self.redis = redis
        self.gatewayID = gatewayID
    }

    /// The layer settings passed to `policy_set`; nil: all are defaults.
    var layerTerms: ByteBuffer? { settings.layerTerms(isEncrypted: !encryption.isEmpty, shard: shard) }

    public subscript<Value>(dynamicMember key: KeyPath<LayerSettings, Value>) -> Value { settings[keyPath: key] }

    public subscript<Value>(dynamicMember key: WritableKeyPath<LayerSettings, Value>) -> Value {
        get { settings[keyPath: key] }
        set { settings[keyPath: key] = newValue }
    }
}
