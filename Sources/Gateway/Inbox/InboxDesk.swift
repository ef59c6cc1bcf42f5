import Broker
import NIOCore

/// Carries out one user's commands on the inboxes of some groups. On the shard's loop only.
struct InboxDesk {
    let backplane: any Backplane
    let eventLoop: any EventLoop
    /// nil: the connection has no login.
    let user: String?
    /// Whether an answer names its group.
    let namesGroups: Bool

    /// The group that a command means.
    ///
    /// - Parameter inboxes: the groups that it may mean.
    static func group(_ name: String?, among inboxes: [GroupName]) throws(InboxError) -> GroupName {
        if let name {
            guard let group = inboxes.first(where: { $0.text == name }) else {
                throw InboxError(.unknownGroup, "you have no inbox in the group \"\(name)\"")
            }
            return group
        }
        guard let only = inboxes.first else { throw InboxError(.unknownGroup, "no group here has an inbox") }
        guard inboxes.count == 1 else {
            throw InboxError(.groupNeeded, "say which group is meant: \"group\":\"\(only)\"")
        }
        return only
    }

    /// Performs a mark, a page or a state, and returns the answer's text.
    ///
    /// - Throws (in the future): `InboxError`.
    func perform(
        _ request: InboxCommand.Request, in group: GroupName, reference: ByteBuffer? = nil
    ) -> EventLoopFuture<ByteBuffer> {
        let named = namesGroups ? group : nil
        let answer: EventLoopFuture<ByteBuffer>
        switch request {
        case .mark(let mark):
            answer = backplane.mark(mark, in: group, user: user).map {
                InboxFrame.state($0, mark, of: named, reference: reference)
            }
        case .page(let before, let limit):
            answer = backplane.inbox(of: group, user: user, before: before, limit: limit).map {
                InboxFrame.page($0, of: named, reference: reference)
            }
        case .state:
            answer = backplane.inbox(of: group, user: user, before: nil, limit: 0).map {
                InboxFrame.state($0.state, of: named, reference: reference)
            }
        case .send:
            return eventLoop.makeFailedFuture(InboxError(.notAllowed, "messages are sent over a WebSocket"))
        }
        return answer.hop(to: eventLoop).flatMapErrorThrowing { throw InboxError($0) }
    }
}
