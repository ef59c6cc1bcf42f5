import Synchronization

/// How many connections each of something has on this gateway: each address, each user.
///
/// Any thread; a lock is taken when a connection comes and when it goes, never for a message, and not at all without a
/// limit.
final class ConnectionCounts<Key: Hashable & Sendable>: Sendable {
    /// 0: no limit.
    private let limit: Int
    private let counts = Mutex<[Key: Int]>([:])

    init(limit: Int) { self.limit = limit }

    /// Takes a place; whoever was let in gives it back with `leave`.
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

    /// Keys with a place now.
    var count: Int { counts.withLock { $0.count } }
}
