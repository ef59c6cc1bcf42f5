public import Broker
import RedisClient

/// The names of all Redis keys and channels that Swift code uses. The schema is documented in redis/README.md.
public struct LayerKeys: Sendable {
    /// channels_redis' `prefix`, default `asgi`.
    public let prefix: String
    /// Prefix of the broker's own keys. Not the layer's prefix, because channels_redis' flush() deletes everything under that.
    private let own: String
    public let database: Int
    /// The channels of the fleet's inboxes.
    private let fleetChannels: [String]
    // These names are built for every join and leave; concatenation is the cheapest way.
    private let groupPrefix: String
    private let livePrefix: String
    private let gatewaysPrefix: String

    /// The fleet has 16 inboxes, which multiplies the layer's capacity of 100 messages per key by 16.
    public static let inboxCount = 16

    /// - Parameter shard: which of several Redis servers the keys are on.
    public init(prefix: String = "asgi", database: Int = 3, shard: ShardPlace = .only) {
        self.prefix = prefix
        fleetChannels = (0..<Self.inboxCount).map(shard.fleetChannel)
        self.database = database
        own = prefix == "asgi" ? "tocsin:" : "tocsin:\(prefix):"
        groupPrefix = prefix + ":group:"
        livePrefix = prefix + "__group__"
        gatewaysPrefix = prefix + "__gateways__"
    }

    /// The zset of a group's channels, as channels_redis names it.
    public func group(_ group: GroupName) -> String { groupPrefix + group.text }

    /// The pub/sub channel of a group's live messages, as channels_redis' pub/sub layer names it.
    public func liveChannel(_ group: GroupName) -> String { livePrefix + group.text }

    /// What gateways alone subscribe to, each with the group's live channel in one command: so `group_send` sees whether
    /// Django's pub/sub layer listens too, and can publish what only gateways read.
    func gatewaysChannel(_ group: GroupName) -> String { gatewaysPrefix + group.text }
    /// What is to happen when: scheduled sends, and escalations.
    var due: String { own + "due" }
    /// Rings when something waits to be encrypted. No group has such a name.
    var outgoingBell: String { livePrefix + "!outgoing" }
    var channelPairs: ChannelPairs { ChannelPairs(first: livePrefix, second: gatewaysPrefix) }

    /// The live channel of the group that a gateways' channel is of; nil: it is none.
    func liveChannel(ofGatewaysChannel channel: String) -> String? {
        channel.hasPrefix(gatewaysPrefix) ? livePrefix + channel.dropFirst(gatewaysPrefix.count) : nil
    }

    /// A glob that matches the channels of Django's pub/sub layer's consumers; for an operator's `PUBSUB CHANNELS`.
    var consumerPattern: String { prefix.replacing(/[*?\[\]\\]/, with: { "\\\($0.output)" }) + "specific.*" }

    /// Who joins a group and leaves it.
    public func presenceChannel(_ group: GroupName) -> String { presencePrefix + group.text }
    var presencePrefix: String { "\(prefix)__presence__" }

    /// The channel of a gateway process' probes. Others use it to see whether the process is listening.
    func probeChannel(_ gateway: String, process: String) -> String { "\(prefix)__probe__\(gateway).\(process)" }

    /// The channel for messages to all gateways.
    public var controlChannel: String { "\(prefix)__control" }

    public func log(_ group: GroupName) -> String { "\(own)log:\(group.text)" }
    public func position(_ group: GroupName) -> String { "\(own)pos:\(group.text)" }
    public func roster(_ group: GroupName) -> String { "\(own)roster:\(group.text)" }
    /// A glob that matches all rosters; for an operator's `SCAN`, never on the message path.
    public var rosterPattern: String { "\(own)roster:*" }
    public func rosterGroup(_ key: String) -> Substring { key.dropFirst("\(own)roster:".count) }

    /// Entries `G CHANNEL`, one for each membership that a gateway has written.
    func members(_ gateway: String) -> String { "\(own)members:\(gateway)" }

    var policy: String { "\(own)policy" }
    public var gateways: String { "\(own)gateways" }
    public func gateway(_ id: String) -> String { "\(own)gateway:\(id)" }
    /// Where `channel_layer.send` puts messages to single connections of a gateway.
    public func gatewayInbox(_ id: String) -> String { "\(prefix)specific.\(id)!" }
    /// Keys of a wrong type that functions have met.
    public var foreign: String { "\(own)foreign" }

    /// A connection's name in rosters and in Django: a channel name of channels_redis.
    public func channelName(gateway: String, connection: ConnectionID) -> String {
        "specific." + gateway + "!" + connection.description
    }

    /// Never written; used to test whether a write would be accepted.
    var trial: String { "\(own)trial" }

    /// One channel of each family that a gateway subscribes to, with the ACL pattern that permits it.
    func channelFamilies(presence: Bool) -> [(channel: String, pattern: String)] {
        var families = [
            ("\(prefix)__group__trial", "&\(prefix)__group__*"),
            ("\(gatewaysPrefix)trial", "&\(gatewaysPrefix)*"), ("\(prefix)__probe__trial", "&\(prefix)__probe__*"),
        ]
        if presence { families.append((presencePrefix + "trial", "&\(presencePrefix)*")) }
        families.append((controlChannel, "&\(controlChannel)"))
        families.append((doorbell(0), "&__keyspace@*__:\(prefix)specific.*"))
        return families
    }

    // MARK: The relay

    /// The non-local part of the fleet's member in an inbox: `specific.tocsin-0e!`.
    public func fleetChannel(_ inbox: Int) -> String { fleetChannels[inbox] }
    public func inbox(_ inbox: Int) -> String { prefix + fleetChannel(inbox) }
    /// The fleet's single member of a group.
    public func fleetMember(of group: GroupName) -> String { fleetChannel(Self.inbox(of: group)) + group.text }

    /// The inbox that receives a group's core-layer messages: the low four bits of the CRC-32 of its name (IEEE 802.3).
    static func inbox(of group: GroupName) -> Int {
        Int(CRC32.of(group.text.utf8) & 15)
    }
    public func staging(_ inbox: Int) -> String { "\(own)staging:\(inbox.hex(count: 2))" }
    /// The keyspace channel of writes to the inbox (redis.io, "Redis keyspace notifications").
    public func doorbell(_ inbox: Int) -> String { keyspaceChannel(self.inbox(inbox)) }
    /// The key that a gateway writes to test whether Redis sends keyspace events.
    func bell(_ gateway: String) -> String { "\(prefix)specific.tocsin-bell.\(gateway)!" }
    func bellChannel(_ gateway: String) -> String { keyspaceChannel(bell(gateway)) }
    /// Where Django's pub/sub layer publishes what is for single connections: `specific.GW!CONN`, without the prefix. One
    /// pattern for all gateways, so that Redis has one to look at for each PUBLISH.
    static let directPattern = "specific.*"
    func isDirectChannel(_ channel: String) -> Bool { channel.hasPrefix("specific.") }

    /// The same for a gateway's own inbox.
    func inboxChannel(_ gateway: String) -> String { keyspaceChannel(gatewayInbox(gateway)) }
    func keyspaceChannel(_ key: String) -> String { "__keyspace@\(database)__:\(key)" }
}
