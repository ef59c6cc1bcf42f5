public import Broker
public import NIOCore

/// What the admin port asks of the fleet; implemented on Redis by the program. Called from any thread.
public protocol Administration: Sendable {
    /// Ends connections on all gateways.
    ///
    /// - Returns: how many gateways were told, and how many live.
    /// - Throws: `BackplaneError`.
    func end(_ selection: ConnectionSelection) async throws(BackplaneError) -> Heard

    /// Sends a JSON object to a group.
    ///
    /// - Parameters:
    ///   - ttl: seconds after which it is not delivered to anyone who comes later.
    ///   - key: idempotency key: again with the same one sends nothing and answers the same.
    /// - Throws: `BackplaneError`; a message that was not accepted says so.
    func send(
        _ message: ByteBuffer, to group: GroupName, ttl: Int?, key: String?
    ) async throws(BackplaneError) -> Receipt

    /// Sends a JSON object to one channel of the layer: a general one, a consumer's, or a connection's.
    ///
    /// - Throws: `BackplaneError`; `.full` when the channel has no room.
    func channelSend(_ message: ByteBuffer, to channel: ChannelName) async throws(BackplaneError) -> Bool

    /// A page of a group's log: from its beginning, or what came after a position.
    ///
    /// - Throws: `BackplaneError`.
    func history(of group: GroupName, since: Position?) async throws(BackplaneError) -> HistoryPage

    /// Who is connected in a group, on all gateways.
    ///
    /// - Throws: `BackplaneError`.
    func members(_ group: GroupName) async throws(BackplaneError) -> [FleetMember]

    /// The gateways that are alive.
    ///
    /// - Throws: `BackplaneError`.
    func gateways() async throws(BackplaneError) -> [FleetGateway]
}

/// Who heard a word that was said to all gateways.
public struct Heard: Sendable, Equatable {
    /// Gateways that were told.
    public var gateways: Int
    /// Gateways that live; those that were not told have no connection to Redis now.
    public var living: Int

    public init(gateways: Int, living: Int) {
        self.gateways = gateways
        self.living = living
    }
}

/// One connection in a group.
public struct FleetMember: Sendable {
    /// What Django would call it.
    public var channel: String
    /// nil: nobody is logged in.
    public var user: String?
    public var gateway: String
    /// Seconds since 1970.
    public var since: Int
    /// A JSON object's text.
    public var info: ByteBuffer?

    public init(channel: String, user: String?, gateway: String, since: Int, info: ByteBuffer?) {
        self.channel = channel
        self.user = user
        self.gateway = gateway
        self.since = since
        self.info = info
    }
}

/// A gateway that is alive, and what it says of itself.
public struct FleetGateway: Sendable {
    public var id: String
    public var fields: [String: String]

    public init(id: String, fields: [String: String]) {
        self.id = id
        self.fields = fields
    }
}
