import Broker

/// The purpose of a pub/sub channel that does not belong to a group.
enum ChannelRoute: Equatable {
    /// This gateway's probe to itself.
    case probe
    /// Keyspace events of the key that this gateway writes to test whether Redis sends them.
    case bell
    /// An operator's message to all gateways.
    case control
    /// Joins and leaves of a group.
    case presence(GroupName)
    /// Keyspace events of one of the core layer's inboxes.
    case inbox(Int)
    /// Something waits to be encrypted for Django's consumers.
    case outgoing
    /// Redis rings for the inbox of this gateway's connections.
    case connections
    /// Nobody here has subscribed to it.
    case unknown
}

/// Maps the channels that a gateway subscribes to, other than groups' own, to their purpose.
///
/// A value without I/O.
struct ChannelRoutes {
    private let fixed: [String: ChannelRoute]
    private let presencePrefix: String

    /// - Parameter encrypts: whether this gateway encrypts what waits for Django's consumers.
    init(keys: LayerKeys, gatewayID: String, process: String, encrypts: Bool = false) {
        var fixed = [
            keys.probeChannel(gatewayID, process: process): ChannelRoute.probe, keys.bellChannel(gatewayID): .bell,
            keys.controlChannel: .control, keys.inboxChannel(gatewayID): .connections,
        ]
        if encrypts { fixed[keys.outgoingBell] = .outgoing }
        for inbox in 0..<LayerKeys.inboxCount { fixed[keys.doorbell(inbox)] = .inbox(inbox) }
        self.fixed = fixed
        presencePrefix = keys.presencePrefix
    }

    /// The channels that a gateway subscribes to as long as it runs, whatever groups it serves.
    var permanent: [String] { fixed.keys.sorted() }

    subscript(channel: String) -> ChannelRoute {
        if let route = fixed[channel] { return route }
        if channel.hasPrefix(presencePrefix),
            let group = try? GroupName(String(channel.dropFirst(presencePrefix.count)))
        {
            return .presence(group)
        }
        return .unknown
    }
}
