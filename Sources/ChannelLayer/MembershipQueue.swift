import Broker

/// Memberships on their way to Redis: in order, with one batch of each kind in flight, so that batches grow with the load
/// and a storm of joins needs few round trips.
///
/// Joins and leaves do not wait for each other: those of one turn leave in one write. A delayed leave could therefore follow
/// a new join of the same connection; the caller, which has the table, leaves such departures out.
///
/// A value without I/O. `Waiter` is a promise in production.
///
/// ```
///   add/discard ──▶ queued ──nextBatch()──▶ under way ──finished(kind)──▶ (next)
///   discards that failed: under way ──owe()──▶ resting ──rested()──▶ queued, before the others
///   paused (Redis away): adds fail immediately, discards are kept and sent first when it is back
/// ```
struct MembershipQueue<Waiter> {
    struct Change {
        var group: GroupName
        var member: Member
        /// nil: a refresh, which nobody waits for.
        var waiter: Waiter?
    }

    struct Departure {
        var group: GroupName
        var connection: ConnectionID
    }

    enum Batch {
        case add([Change])
        case discard([Departure])
    }

    enum Kind { case adds, discards }

    private enum Lane { case idle, underWay, resting }

    /// Maximum groups per FCALL.
    static var batchSize: Int { 512 }

    private var adds: [Change] = []
    private var discards: [Departure] = []
    private var refreshes: [Change] = []
    private var addLane = Lane.idle
    private var discardLane = Lane.idle
    private(set) var isPaused = true

    /// Returns false when Redis is away; the caller must fail the waiter.
    mutating func add(_ change: Change) -> Bool {
        guard !isPaused else { return false }
        adds.append(change)
        return true
    }

    mutating func refresh(_ changes: [Change]) { refreshes = changes }

    mutating func discard(_ departure: Departure) { discards.append(departure) }

    /// The next batch to send. It may name connections that have ended meanwhile; the caller, which has the table, skips them.
    mutating func nextBatch() -> Batch? {
        guard !isPaused else { return nil }
        if !discards.isEmpty, discardLane == .idle {
            discardLane = .underWay
            return .discard(Self.take(&discards))
        }
        if !adds.isEmpty || !refreshes.isEmpty, addLane == .idle {
            addLane = .underWay
            return .add(adds.isEmpty ? Self.take(&refreshes) : Self.take(&adds))
        }
        return nil
    }

    mutating func finished(_ kind: Kind) {
        switch kind {
        case .adds: addLane = .idle
        case .discards: discardLane = .idle
        }
    }

    /// Queues departures again that Redis did not confirm. Repeating one that was executed is harmless.
    ///
    /// Without a connection commands fail immediately, so nothing is sent again before `rested()` or `resume()`.
    mutating func owe(_ departures: [Departure]) {
        discards.insert(contentsOf: departures, at: 0)
        discardLane = .resting
    }

    mutating func rested() { if discardLane == .resting { discardLane = .idle } }

    mutating func resume() {
        isPaused = false
        rested()
    }

    /// Call when Redis is away. Returns the joins and refreshes that were waiting.
    mutating func pause() -> [Change] {
        isPaused = true
        defer {
            adds = []
            refreshes = []
        }
        return adds
    }

    private static func take<T>(_ queue: inout [T]) -> [T] {
        if queue.count <= batchSize {
            defer { queue = [] }
            return queue
        }
        defer { queue.removeFirst(batchSize) }
        return Array(queue.prefix(batchSize))
    }
}
