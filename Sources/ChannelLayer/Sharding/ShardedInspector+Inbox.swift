public import Broker
public import NIOCore

/// As the methods of `LayerInspector`: what is about a group is asked of its server, what is about a user of all.
extension ShardedInspector {
    public func receipts(of group: GroupName, at position: Position) async throws -> ByteBuffer {
        try await router[group].receipts(of: group, at: position)
    }

    public func inbox(
        of group: GroupName, user: String, before: Position?, limit: Int
    ) async throws -> InboxPage {
        try await router[group].inbox(of: group, user: user, before: before, limit: limit)
    }

    public func mark(_ mark: ReadMark, in group: GroupName, user: String) async throws -> InboxState {
        try await router[group].mark(mark, in: group, user: user)
    }

    public func groups(of user: String) async throws -> [GroupName] {
        try await everyShard { try await $0.groups(of: user) }.flatMap { $0 }.sorted { $0.text < $1.text }
    }

    /// The answer of each server.
    public func scheduled(limit: Int, group: GroupName? = nil) async throws -> [ByteBuffer] {
        if let group { return [try await router[group].scheduled(limit: limit, group: group)] }
        return try await everyShard { try await $0.scheduled(limit: limit) }
    }

    public func cancel(_ id: String, in group: GroupName) async throws -> Bool {
        try await router[group].cancel(id, in: group)
    }

    /// The answer of each server.
    public func escalations(limit: Int) async throws -> [ByteBuffer] {
        try await everyShard { try await $0.escalations(limit: limit) }
    }

    public func retryEscalation(_ id: String?) async throws -> Int {
        try await everyShard { try await $0.retryEscalation(id) }.reduce(0, +)
    }

    /// Registered on every server, because the user may have groups on each.
    public func registerPush(_ subscription: ByteBuffer, id: String, of user: String) async throws -> Int {
        try await everyShard { try await $0.registerPush(subscription, id: id, of: user) }.max() ?? 0
    }

    public func removePush(_ id: String, of user: String) async throws -> Bool {
        try await everyShard { try await $0.removePush(id, of: user) }.contains(true)
    }

    public func erase(_ user: String) async throws {
        _ = try await everyShard { try await $0.erase(user) }
    }

    /// Unlike `everywhere`, fails when one server does not answer: what is said of a user is whole or an error.
    private func everyShard<Answer: Sendable>(
        _ question: @Sendable (LayerInspector) async throws -> Answer
    ) async throws -> [Answer] {
        var answers: [Answer] = []
        for shard in router.shards { answers.append(try await question(shard)) }
        return answers
    }
}
