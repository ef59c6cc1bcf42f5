public import Broker
public import NIOCore

/// What has become of messages: receipts, inboxes, what is scheduled, escalations, and a user's data. Answers in JSON are passed
/// on as the functions gave them (redis/README.md, "Functions").
///
/// - Throws (all of them): `RedisError`.
extension LayerInspector {
    /// Who is meant by a message, who has it since when, and who has read it.
    public func receipts(of group: GroupName, at position: Position) async throws -> ByteBuffer {
        try await client.call(functions.receipts(of: group, at: position))
    }

    /// - Parameter limit: 0 to 1,000.
    public func inbox(
        of group: GroupName, user: String, before: Position?, limit: Int
    ) async throws -> InboxPage {
        try await client.call(functions.inbox(of: group, user: user, before: before, limit: limit))
    }

    public func mark(_ mark: ReadMark, in group: GroupName, user: String) async throws -> InboxState {
        try await client.call(functions.markRead(mark, in: group, user: user))
    }

    /// The groups that belong to the user, and those that have a record of the user.
    public func groups(of user: String) async throws -> [GroupName] {
        try await client.call(functions.userGroups(user))
    }

    /// - Parameter limit: 1 to 1,000.
    public func scheduled(limit: Int, group: GroupName? = nil) async throws -> ByteBuffer {
        try await client.call(functions.scheduleList(limit: limit, group: group))
    }

    /// - Returns: false when the id is unknown: the message was sent, or cancelled before.
    public func cancel(_ id: String, in group: GroupName) async throws -> Bool {
        try await client.call(functions.scheduleCancel(id, in: group)) == 1
    }

    /// - Parameter limit: dead letters, 1 to 1,000.
    public func escalations(limit: Int) async throws -> ByteBuffer {
        try await client.call(functions.escalationList(limit: limit))
    }

    /// - Parameter id: nil: all, at most 1,000 in a call.
    /// - Returns: how many dead letters are sent again.
    public func retryEscalation(_ id: String?) async throws -> Int {
        try await client.call(functions.escalationRetry(id))
    }

    /// - Parameters:
    ///   - subscription: the JSON object of the browser's `PushSubscription`, already checked.
    ///   - id: hex digits that name its endpoint.
    /// - Returns: how many the user has.
    public func registerPush(_ subscription: ByteBuffer, id: String, of user: String) async throws -> Int {
        try await client.call(functions.pushSet(subscription, id: id, of: user))
    }

    /// - Returns: false when there was none.
    public func removePush(_ id: String, of user: String) async throws -> Bool {
        try await client.call(functions.pushDelete(id, of: user)) == 1
    }

    /// Removes what is kept of a user.
    public func erase(_ user: String) async throws {
        var cursor = "0"
        repeat { cursor = try await client.call(functions.userErase(user, cursor: cursor)) } while cursor != "0"
    }
}
