import Broker
import NIOCore

/// What one centrifuge client may do, worked out once at its handshake.
struct CentrifugeAccess {
    /// Subscribed by the server as soon as the client connects.
    var serverGroups: [GroupName]
    /// Groups that the client may subscribe to, and look into.
    var mayJoin: [GroupPattern]
    /// Whether it may publish to them (`receive: group_send`).
    var mayPublish: Bool
    var user: String?
    /// What others may see of it: a JSON object's text.
    var info: ByteBuffer?

    func allows(_ group: GroupName) -> Bool {
        serverGroups.contains(group) || mayJoin.contains { $0.matches(group) }
    }
}
