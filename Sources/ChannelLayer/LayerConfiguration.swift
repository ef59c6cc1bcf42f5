public import Broker
public import NIOCore
public import RedisClient

/// What the channel layer is told by the configuration.
public struct LayerConfiguration: Sendable {
    public var redis: RedisConfiguration
    public var prefix: String
    /// This gateway's name: part of the channel names of its connections.
    public var gatewayID: String
    public var policies: [GroupPolicy]
    /// channels_redis' `group_expiry`: seconds after which a group that nobody refreshes is gone. Default one day.
    public var groupExpiry = 86_400
    /// How often memberships are written again. Default: a third of `groupExpiry`, at most 10 minutes.
    public var refreshInterval: TimeAmount?
    /// How long a gateway counts as alive without a sign. Default 15 s.
    public var leaseSeconds = 15
    /// Replicas that must have a message before its sender is told that it is accepted. Default 0: none.
    public var waitReplicas = 0
    /// How long to wait for them.
    public static let waitMilliseconds = 500
    /// For the messages of a Django side with `symmetric_encryption_keys`. Default: none.
    public var encryption = FernetKeys()
    /// What others may want to know of this gateway: host, version, address.
    public var gatewayFields: [String: String] = [:]

    public init(redis: RedisConfiguration, prefix: String, gatewayID: String, policies: [GroupPolicy]) {
        self.redis = redis
        self.prefix = prefix
        self.gatewayID = gatewayID
        self.policies = policies
    }

    var refresh: TimeAmount { refreshInterval ?? .seconds(Int64(min(max(groupExpiry / 3, 1), 600))) }
}
