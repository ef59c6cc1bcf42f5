import Synchronization

/// Whether this gateway can deliver and accept now, and why not. Set from anywhere.
public final class Readiness: Sendable {
    public enum Obstacle: String, Sendable, CaseIterable {
        case starting = "starting"
        case redis = "Redis is not reachable"
        case draining = "draining"
    }

    /// Each with what it is said to be.
    private let obstacles = Mutex<[Obstacle: [String]]>([
        .starting: [Obstacle.starting.rawValue], .redis: [Obstacle.redis.rawValue],
    ])

    public init() {}

    public func set(_ obstacle: Obstacle, _ isThere: Bool) { set(obstacle, isThere ? [obstacle.rawValue] : []) }

    /// - Parameter reasons: why it is in the way, in words; empty: it is not.
    public func set(_ obstacle: Obstacle, _ reasons: [String]) {
        obstacles.withLock { $0[obstacle] = reasons.isEmpty ? nil : reasons }
    }

    /// Empty: ready.
    public var reasons: [String] {
        obstacles.withLock { table in Obstacle.allCases.flatMap { table[$0] ?? [] } }
    }
}
