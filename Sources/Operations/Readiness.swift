import Synchronization

/// Whether this gateway can deliver and accept now, and why not. Set from anywhere.
public final class Readiness: Sendable {
    public enum Obstacle: String, Sendable, CaseIterable {
        case starting = "starting"
        case redis = "Redis is not reachable"
        case draining = "draining"
    }

    private let obstacles = Mutex<Set<Obstacle>>([.starting, .redis])

    public init() {}

    public func set(_ obstacle: Obstacle, _ isThere: Bool) {
        obstacles.withLock { set in
            if isThere { set.insert(obstacle) } else { set.remove(obstacle) }
        }
    }

    /// Empty: ready.
    public var reasons: [String] {
        obstacles.withLock { set in Obstacle.allCases.filter { set.contains($0) }.map(\.rawValue) }
    }
}
