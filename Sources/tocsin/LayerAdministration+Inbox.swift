import Broker
import ChannelLayer
import Escalation
import NIOCore
import Operations

/// Receipts, inboxes and a user's data.
extension LayerAdministration {
    func receipts(of group: GroupName, at position: Position) async throws(BackplaneError) -> ByteBuffer {
        try await ask { try await $0.receipts(of: group, at: position) }
    }

    func groups(of user: String) async throws(BackplaneError) -> [GroupName] {
        // A group that a policy gives to the user is named by every server.
        let groups = Set(try await ask { try await $0.groups(of: user) })
        return groups.sorted { $0.text < $1.text }
    }

    func inbox(
        of group: GroupName, user: String, before: Position?, limit: Int
    ) async throws(BackplaneError) -> InboxPage {
        try await ask { try await $0.inbox(of: group, user: user, before: before, limit: limit) }
    }

    func mark(_ mark: ReadMark, in group: GroupName, user: String) async throws(BackplaneError) -> InboxState {
        try await ask { try await $0.mark(mark, in: group, user: user) }
    }

    func register(_ subscription: PushSubscription, of user: String) async throws(BackplaneError) -> Int {
        try await ask { try await $0.registerPush(subscription.json, id: subscription.id, of: user) }
    }

    func removeSubscription(_ id: String, of user: String) async throws(BackplaneError) -> Bool {
        try await ask { try await $0.removePush(id, of: user) }
    }

    /// Connections end first: a device that is still there would confirm messages, and so be recorded again.
    func erase(_ user: String) async throws(BackplaneError) -> Erasure {
        let heard = try await end(.user(user))
        let groups = try await groups(of: user)
        try await ask { try await $0.erase(user) }
        return Erasure(groups: groups, heard: heard)
    }
}

/// What is to happen later.
extension LayerAdministration {
    func scheduled(in group: GroupName?, limit: Int) async throws(BackplaneError) -> [ScheduledMessage] {
        let answers = try await ask { try await $0.scheduled(limit: limit, group: group) }
        guard let messages = ScheduledMessage.list(answers, limit: limit) else { throw Self.unreadable }
        return messages
    }

    func cancel(_ id: ScheduledID) async throws(BackplaneError) -> Bool {
        try await ask { try await $0.cancel(id.description, in: id.group) }
    }

    func escalations(limit: Int) async throws(BackplaneError) -> EscalationOverview {
        let answers = try await ask { try await $0.escalations(limit: limit) }
        guard let overview = EscalationOverview(answers, limit: limit) else { throw Self.unreadable }
        return overview
    }

    func retryEscalation(_ id: String?) async throws(BackplaneError) -> Int {
        try await ask { try await $0.retryEscalation(id) }
    }

    private static var unreadable: BackplaneError {
        BackplaneError(
            .unavailable, "Redis answered something else than a list: it has another version's function library")
    }
}
