public import Broker
public import NIOCore
public import RedisClient

/// The channel layer's settings, as a site configures them: the keys of `redis:` and `groups:` that say how groups are kept.
public struct LayerSettings: Sendable {
    /// What channels_redis the site has.
    public enum Version: String, Sendable, CaseIterable {
        /// 2.x: inboxes are lists.
        case two = "2"
        /// 3.x and 4.x: inboxes are sorted sets.
        case three = "3"
    }

    /// How the site's layer writes messages, and wants to read them.
    public enum Serializer: String, Sendable, CaseIterable {
        case messagePack = "msgpack"
        case json
    }

    /// Default `.three`.
    public var version = Version.three
    /// channels_redis' `prefix`. Default `asgi`.
    public var prefix = "asgi"
    /// channels_redis' `serializer_format` (4.2.1 and later). Default msgpack.
    public var serializer = Serializer.messagePack
    /// channels_redis' `random_prefix_length` (4.2.1 and later): random bytes in front of a message in a sorted set. Default 12.
    public var randomPrefixLength = 12
    /// channels_redis' `capacity`: messages that a channel holds. Default 100.
    public var capacity = 100
    /// channels_redis' `expiry`: seconds after which a message that nobody has read is gone. Default 60.
    public var expiry = 60
    public var policies: [GroupPolicy] = []
    /// The targets of escalations, by name.
    public var targets: [String: TargetKind] = [:]
    /// channels_redis' `group_expiry`: seconds after which a group that nobody refreshes is gone. Default one day.
    public var groupExpiry = 86_400
    /// How often memberships are written again. Default: a third of `groupExpiry`, at most 10 minutes.
    public var refreshInterval: TimeAmount?
    /// Replicas that must acknowledge a message before the send succeeds. Default 0.
    public var waitReplicas = ReplicaQuorum.zero

    public init() {}

    var refresh: TimeAmount { refreshInterval ?? .seconds(Int64(min(max(groupExpiry / 3, 1), 600))) }

    /// The targets as `policy_set` takes them, a JSON object; nil: there are none.
    var targetTerms: ByteBuffer? {
        guard !targets.isEmpty else { return nil }
        return JSONWriter.object { json in
            for (name, kind) in targets.sorted(by: { $0.key < $1.key }) {
                json.object(name) { $0.string("kind", kind.rawValue) }
            }
        }
    }

    /// Random bytes in front of a message of an inbox.
    var inboxPrefixLength: Int { version == .two ? 0 : randomPrefixLength }

    /// The layer's settings as `policy_set` takes them, a JSON object; nil: all are defaults.
    func layerTerms(isEncrypted: Bool, shard: ShardPlace = .only) -> ByteBuffer? {
        let defaults = LayerSettings()
        let text = JSONWriter.object { json in
            if version != defaults.version { json.string("layer", version.rawValue) }
            if serializer != defaults.serializer { json.string("serializer", serializer.rawValue) }
            if randomPrefixLength != defaults.randomPrefixLength {
                json.number("random_prefix_length", randomPrefixLength)
            }
            if capacity != defaults.capacity { json.number("capacity", capacity) }
            if expiry != defaults.expiry { json.number("expiry", expiry) }
            if groupExpiry != defaults.groupExpiry { json.number("group_expiry", groupExpiry) }
            if isEncrypted { json.bool("encrypted", true) }
            if shard != .only {
                json.number("shard", shard.index)
                json.number("shards", shard.ring.count)
            }
        }
        return text.readableBytes > 2 ? text : nil
    }
}
