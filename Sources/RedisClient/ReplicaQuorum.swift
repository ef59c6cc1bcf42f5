/// Which replicas must acknowledge a write before its sender is told that it was accepted.
public enum ReplicaQuorum: Sendable, Equatable {
    /// So many of them, whichever.
    case count(Int)
    /// All that are connected to the primary when it has executed the write, and at least one.
    case all

    /// None is waited for.
    public static let zero = ReplicaQuorum.count(0)

    /// The replicas that are connected and in step, according to the primary.
    ///
    /// - Parameter role: the reply to `ROLE` (redis.io, "ROLE", "Master output").
    /// - Returns: nil: the server is not a primary.
    static func connected(_ role: RedisValue) -> Int? {
        guard let fields = role.array, fields.count == 3, fields[0].text == "master" else { return nil }
        return fields[2].array?.count
    }
}
