public import Broker
public import RedisClient

/// Answers which Redis has what: everything of a group lies on one server.
///
/// Of the servers of `redis.hosts` it is that of channels_redis' ring; of a Cluster's servers, that of the name's slot, for keys
/// whose hash tag is the name. What belongs to gateways (leases, the control channel, inboxes of connections) is on every server.
public struct ShardRouter<Shard> {
    /// In the order of `redis.hosts`, or of a Cluster's map. Not empty.
    public let shards: [Shard]
    private let rule: ShardRule

    /// One server, or a ring of several.
    public init(_ shards: [Shard]) {
        self.init(shards, .ring(ShardRing(count: shards.count)))
    }

    /// A Cluster's servers.
    ///
    /// - Parameter shard: makes what stands for a server.
    public init(_ map: SlotMap, _ shard: (RedisEndpoint) throws -> Shard) rethrows {
        self.init(try map.servers.map(shard), .slots(map))
    }

    fileprivate init(_ shards: [Shard], _ rule: ShardRule) {
        self.shards = shards
        self.rule = rule
    }

    public subscript(_ group: GroupName) -> Shard { shards[rule.index(of: group.text)] }

    /// Where a channel's messages are read: one consumer's where the rule has the part of the name that its process reads; a
    /// general channel's on any server, as its workers read all of them in turn.
    public subscript(_ channel: ChannelName) -> Shard {
        let end = channel.text.firstIndex(of: "!")
        let name = end.map { String(channel.text[...$0]) } ?? channel.text
        return shards[rule.index(of: name)]
    }

    public func map<Other>(_ body: (Shard) throws -> Other) rethrows -> ShardRouter<Other> {
        ShardRouter<Other>(try shards.map(body), rule)
    }
}

extension ShardRouter: Sendable where Shard: Sendable {}

/// What chooses a server. A Cluster's map changes: each map has a router of its own.
private enum ShardRule {
    case ring(ShardRing)
    case slots(SlotMap)

    func index(of name: String) -> Int {
        switch self {
        case .ring(let ring): ring.index(of: name)
        case .slots(let map): map.index(of: name)
        }
    }
}
