public import Broker
public import NIOCore

/// The operations behind the admin port; implemented on Redis by the program. Called from any thread.
public protocol Administration: FleetAdministration, InboxAdministration, DueAdministration {}

/// Sending, and who is connected.
public protocol FleetAdministration: Sendable {
    /// Ends connections on all gateways.
    ///
    /// - Returns: how many gateways received the request, and how many are alive.
    /// - Throws: `BackplaneError`.
    func end(_ selection: ConnectionSelection) async throws(BackplaneError) -> BroadcastReceipt

    /// Sends a JSON object to a group.
    ///
    /// - Throws: `BackplaneError` when the message was not accepted.
    func send(
        _ message: ByteBuffer, to group: GroupName, _ options: SendOptions
    ) async throws(BackplaneError) -> SendAnswer

    /// Sends a JSON object to one channel of the layer: a general one, a consumer's, or a connection's.
    ///
    /// - Throws: `BackplaneError`; `.full` when the channel has no room.
    func channelSend(_ message: ByteBuffer, to channel: ChannelName) async throws(BackplaneError) -> Bool

    /// A page of a group's log: from its beginning, or what came after a position.
    ///
    /// - Throws: `BackplaneError`.
    func history(of group: GroupName, since: Position?) async throws(BackplaneError) -> HistoryPage

    /// The connections in a group, on all gateways.
    ///
    /// - Throws: `BackplaneError`.
    func members(_ group: GroupName) async throws(BackplaneError) -> [FleetMember]

    /// The living gateways.
    ///
    /// - Throws: `BackplaneError`.
    func gateways() async throws(BackplaneError) -> [FleetGateway]
}
