import Synchronization

/// Counts this gateway's open connections per key (client network or user) and enforces a limit on each.
///
/// Safe from any thread. The lock is taken when a connection opens or closes, never per message, and not at all when there
/// is no limit.
final class ConnectionCounts<Key: Hashable & Sendable>: Sendable {
    /// Connections allowed per key; 0: no limit.
    private let limit: Int
    private let counts = Mutex<[Key: Int]>([:])

    init(limit: Int) { self.limit = limit }

    /// Counts one more connection. Returns false at the limit; on true, call `leave` once when the connection ends.
    func enter(_ key: Key) -> Bool {
        guard limit > 0 else { return true }
        return counts.withLock { counts in
            let count = counts[key, default: 0]
            guard count < limit else { return false }
            counts[key] = count + 1
            return true
        }
    }

    func leave(_ key: Key) {
        guard limit > 0 else { return }
        counts.withLock { counts in
            guard let count = counts[key] else { return }
            counts[key] = count > 1 ? count - 1 : nil
        }
    }

    /// Number of keys with at least one connection.
    var count: Int { counts.withLock { $0.count } }
}
