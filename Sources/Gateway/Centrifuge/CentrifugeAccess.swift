import Broker
import NIOCore

/// What one centrifuge client may do, worked out once at its handshake.
struct CentrifugeAccess {
    /// Subscribed by the server as soon as the client connects.
    var serverGroups: [GroupName]
    /// Groups that the client may subscribe to.
    var mayJoin: [GroupPattern]
    /// Groups that it may publish to.
    var mayPublish: [GroupPattern]
    /// And to all that it may join (`receive: group_send`).
    var mayPublishWhereItMayJoin: Bool
    /// Groups whose presence and history it may read. nil: those that it may join.
    var maySee: [GroupPattern]?
    var user: String?
    /// What others may see of it: a JSON object's text.
    var info: ByteBuffer?

    /// Nothing.
    static let none = CentrifugeAccess(
        serverGroups: [], mayJoin: [], mayPublish: [], mayPublishWhereItMayJoin: false, maySee: [])

    func allowsJoining(_ group: GroupName) -> Bool {
        serverGroups.contains(group) || mayJoin.contains { $0.matches(group) }
    }

    func allowsPublishing(_ group: GroupName) -> Bool {
        mayPublishWhereItMayJoin && allowsJoining(group) || mayPublish.contains { $0.matches(group) }
    }

    func allowsSeeing(_ group: GroupName) -> Bool {
        maySee.map { $0.contains { $0.matches(group) } } ?? allowsJoining(group)
    }
}
