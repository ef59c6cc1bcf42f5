public import Broker
import RedisClient

/// Every Redis key and channel that Swift names, in one place. The schema for people is redis/README.md.
public struct LayerKeys: Sendable {
    /// channels_redis' `prefix`, default `asgi`.
    public let prefix: String
    /// What our own keys start with. Not the layer's prefix: channels_redis' flush() deletes all that starts with it.
    private let own: String
    public let database: Int
    // Names are made for every join and every leave: concatenation is the cheapest way.
    private let groupPrefix: String
    private let livePrefix: String
    private let gatewaysPrefix: String

    /// The fleet's inboxes: 16, so that the layer's capacity of 100 a key is 16 times as much.
    public static let inboxCount = 16

    public init(prefix: String = "asgi", database: Int = 3) {
        self.prefix = prefix
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
    var channelPairs: ChannelPairs { ChannelPairs(first: livePrefix, second: gatewaysPrefix) }

    /// The live channel of the group that a gateways' channel is of; nil: it is none.
    func liveChannel(ofGatewaysChannel channel: String) -> String? {
        channel.hasPrefix(gatewaysPrefix) ? livePrefix + channel.dropFirst(gatewaysPrefix.count) : nil
    }

    /// Who joins a group and leaves it.
    public func presenceChannel(_ group: GroupName) -> String { presencePrefix + group.text }
    var presencePrefix: String { "\(prefix)__presence__" }

    /// Where a gateway's process hears itself, and others hear whether it listens.
    func probeChannel(_ gateway: String, process: String) -> String { "\(prefix)__probe__\(gateway).\(process)" }

    /// What is said to all gateways.
    public var controlChannel: String { "\(prefix)__control" }

    public func log(_ group: GroupName) -> String { "\(own)log:\(group.text)" }
    public func position(_ group: GroupName) -> String { "\(own)pos:\(group.text)" }
    public func roster(_ group: GroupName) -> String { "\(own)roster:\(group.text)" }
    /// A glob that finds all rosters; for an operator's `SCAN`, never on a message's path.
    public var rosterPattern: String { "\(own)roster:*" }
    public func rosterGroup(_ key: String) -> Substring { key.dropFirst("\(own)roster:".count) }

    /// `G CHANNEL` of each connection that a gateway has written.
    func members(_ gateway: String) -> String { "\(own)members:\(gateway)" }

    var policy: String { "\(own)policy" }
    public var gateways: String { "\(own)gateways" }
    public func gateway(_ id: String) -> String { "\(own)gateway:\(id)" }
    /// Where `channel_layer.send` puts what is meant for one connection of a gateway.
    public func gatewayInbox(_ id: String) -> String { "\(prefix)specific.\(id)!" }
    /// Keys of a wrong type that functions came upon.
    public var foreign: String { "\(own)foreign" }

    /// What a connection is called in rosters and by Django: a channel name of channels_redis.
    public func channelName(gateway: String, connection: ConnectionID) -> String {
        "specific." + gateway + "!" + connection.description
    }

    /// Nobody writes it: for trying whether a write would be taken.
    var trial: String { "\(own)trial" }

    /// A channel of each family that a gateway subscribes to, with the ACL pattern that lets it.
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

    /// The non-local part of the fleet's member in inbox `inbox`: `specific.tocsin-0e!`.
    public func fleetChannel(_ inbox: Int) -> String { "specific.tocsin-\(inbox.hex(count: 2))!" }
    public func inbox(_ inbox: Int) -> String { prefix + fleetChannel(inbox) }
    /// The fleet's one member of a group.
    public func fleetMember(of group: GroupName) -> String { fleetChannel(Self.inbox(of: group)) + group.text }

    /// Which inbox a group's messages of the core layer come to: the low four bits of its name's CRC-32 (IEEE 802.3).
    static func inbox(of group: GroupName) -> Int {
        var crc = UInt32.max
        for byte in group.text.utf8 {
            crc ^= UInt32(byte)
            for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0xEDB8_8320 : crc >> 1 }
        }
        return Int(~crc & 15)
    }
    public func staging(_ inbox: Int) -> String { "\(own)staging:\(inbox.hex(count: 2))" }
    /// Where Redis rings when the inbox is written (redis.io, "Redis keyspace notifications").
    public func doorbell(_ inbox: Int) -> String { keyspaceChannel(self.inbox(inbox)) }
    /// What a gateway writes to find out whether Redis rings.
    func bell(_ gateway: String) -> String { "\(prefix)specific.tocsin-bell.\(gateway)!" }
    func bellChannel(_ gateway: String) -> String { keyspaceChannel(bell(gateway)) }
    /// The same for a gateway's own inbox.
    func inboxChannel(_ gateway: String) -> String { keyspaceChannel(gatewayInbox(gateway)) }
    func keyspaceChannel(_ key: String) -> String { "__keyspace@\(database)__:\(key)" }
}
