import Synchronization

/// Whether this gateway can deliver and accept now, and if not, why. Safe from any thread.
public final class Readiness: Sendable {
    public enum Obstacle: String, Sendable, CaseIterable {
        case starting = "starting"
        case redis = "Redis is not reachable"
        case draining = "draining"
    }

    /// The current obstacles, each with its reasons.
    private let obstacles = Mutex<[Obstacle: [String]]>([
        .starting: [Obstacle.starting.rawValue], .redis: [Obstacle.redis.rawValue],
    ])

    /// What does not work although the gateway is ready.
    private let text = Mutex<[String]>([])

    public init() {}

    /// - Parameter remarks: in plain text, shown with "ready"; empty: everything works.
    public func remark(_ remarks: [String]) { text.withLock { $0 = remarks } }

    public var remarks: [String] { text.withLock { $0 } }

    public func set(_ obstacle: Obstacle, _ isThere: Bool) { set(obstacle, isThere ? [obstacle.rawValue] : []) }

    /// - Parameter reasons: why the obstacle exists, in plain text; empty: it does not.
    public func set(_ obstacle: Obstacle, _ reasons: [String]) {
        obstacles.withLock { $0[obstacle] = reasons.isEmpty ? nil : reasons }
    }

    /// Empty: ready.
    public var reasons: [String] {
        obstacles.withLock { table in Obstacle.allCases.flatMap { table[$0] ?? [] } }
    }
}
