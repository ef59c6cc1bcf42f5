public import Broker

/// Answers which Redis has what: everything of a group lies on one of the servers of `redis.hosts`, that of channels_redis' ring.
///
/// What belongs to gateways (leases, the control channel, inboxes of connections) is on every server.
public struct ShardRouter<Shard> {
    /// In the order of `redis.hosts`. Not empty.
    public let shards: [Shard]
    private let ring: ShardRing

    public init(_ shards: [Shard]) {
        self.shards = shards
        ring = ShardRing(count: shards.count)
    }

    public subscript(_ group: GroupName) -> Shard { shards[ring.index(of: group.text)] }

    /// Where a channel's messages are read: one consumer's where the ring has the part of the name that its process reads; a
    /// general channel's on any server, as its workers read all of them in turn.
    public subscript(_ channel: ChannelName) -> Shard {
        let end = channel.text.firstIndex(of: "!")
        let name = end.map { String(channel.text[...$0]) } ?? channel.text
        return shards[ring.index(of: name)]
    }

    public func map<Other>(_ body: (Shard) throws -> Other) rethrows -> ShardRouter<Other> {
        ShardRouter<Other>(try shards.map(body))
    }
}

extension ShardRouter: Sendable where Shard: Sendable {}
