import Broker
import NIOCore

/// What one centrifuge client may do; computed once, when it logs in.
struct CentrifugeAccess {
    /// Groups that the server subscribes the client to when it connects.
    var serverGroups: [GroupName]
    /// Groups that the client may subscribe to.
    var mayJoin: [GroupPattern]
    /// Groups that the client may publish to.
    var mayPublish: [GroupPattern]
    /// Whether it may also publish to every group it may join (`receive: group_send`).
    var mayPublishWhereItMayJoin: Bool
    /// Groups whose presence and history it may read. nil: those that it may join.
    var maySee: [GroupPattern]?
    var user: String?
    /// What other clients may see of it: the text of a JSON object.
    var info: ByteBuffer?

    /// No rights at all.
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
