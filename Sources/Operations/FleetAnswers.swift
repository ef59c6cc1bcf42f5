public import Broker
public import NIOCore

/// How many gateways received a message to all of them.
public struct BroadcastReceipt: Sendable, Equatable {
    /// Gateways that received it.
    public var gateways: Int
    /// Gateways that are alive; those that did not receive it have no connection to Redis now.
    public var living: Int

    public init(gateways: Int, living: Int) {
        self.gateways = gateways
        self.living = living
    }

    /// The entries of what a program is told.
    public func write(to json: inout JSONWriter) {
        json.number("gateways", gateways)
        json.number("living", living)
    }
}

/// One connection in a group.
public struct FleetMember: Sendable {
    /// The connection's channel name in Django.
    public var channel: String
    /// nil: not logged in.
    public var user: String?
    public var gateway: String
    /// Seconds since 1970.
    public var since: Int
    /// The text of a JSON object.
    public var info: ByteBuffer?

    public init(channel: String, user: String?, gateway: String, since: Int, info: ByteBuffer?) {
        self.channel = channel
        self.user = user
        self.gateway = gateway
        self.since = since
        self.info = info
    }
}

/// A living gateway with its description of itself.
public struct FleetGateway: Sendable {
    public var id: String
    public var fields: [String: String]

    public init(id: String, fields: [String: String]) {
        self.id = id
        self.fields = fields
    }

    /// Fields that the gateway itself writes as numbers.
    private static let numbers: Set = ["connections", "groups", "pid", "seen"]

    /// What is said of it beside its name, in the order of the names.
    public var others: [(key: String, value: String)] {
        fields.filter { $0.key != "gateway" }.sorted { $0.key < $1.key }
    }

    /// The entries of what a program is told.
    public func write(to json: inout JSONWriter) {
        json.string("gateway", id)
        for (key, value) in others {
            // The hash in Redis may hold anything.
            if Self.numbers.contains(key), value.wholeMatch(of: /[0-9]+(\.[0-9]+)?/) != nil {
                json.raw(key, value)
            } else {
                json.string(key, value)
            }
        }
    }
}
