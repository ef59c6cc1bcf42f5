import RedisClient

/// The deliveries of escalations that wait in one Redis, for those who carry them out. Any thread.
///
/// - Throws (all methods): `RedisError`.
public struct EscalationTasks: Sendable {
    let client: RedisClient
    let functions: LayerFunctions

    /// Seconds for which a claim holds: longer than any try takes. After that another gateway may try.
    public static let claimSeconds = 60

    /// - Parameters:
    ///   - most: tasks in flight for the target, in the whole fleet.
    ///   - limit: 1 to 1,000.
    /// - Returns: nothing while Redis is away, or has no library yet: the links to it report that.
    public func claim(_ target: String, most: Int, limit: Int) async throws -> [ClaimedTask] {
        do {
            return try await client.call(
                functions.escalationClaim(target, most: most, limit: limit, seconds: Self.claimSeconds))
        } catch let error as RedisError where error.code != .server || RedisErrorMeaning.isTransient(error) {
            return []
        }
    }

    /// - Returns: false when another has finished the task, or claimed it after this claim had ended.
    @discardableResult
    public func finish(
        _ target: String, id: String, attempt: Int, _ result: TaskResult
    ) async throws -> Bool {
        try await client.call(functions.escalationFinish(target, id, attempt: attempt, result)) == 1
    }
}
