import Broker
import Escalation
import NIOCore
import Synchronization

/// A queue in memory. Tasks that are to be retried are not due again.
final class FakeQueue: EscalationQueue {
    struct Broken: Error {}

    private struct State {
        var due: [EscalationTask] = []
        var claimed: Set<String> = []
        var finished: [String: EscalationResult] = [:]
        var claims = 0
        var isBroken = false
        var excess: [String] = []
    }
    private let state = Mutex(State())

    func add(_ tasks: EscalationTask...) { state.withLock { $0.due += tasks } }
    func setBroken(_ isBroken: Bool) { state.withLock { $0.isBroken = isBroken } }

    var finished: [String: EscalationResult] { state.withLock { $0.finished } }
    var claims: Int { state.withLock { $0.claims } }
    /// Tasks that were finished without being claimed, or twice.
    var excess: [String] { state.withLock { $0.excess } }
    /// Claimed and not finished.
    var open: Set<String> { state.withLock { $0.claimed } }

    func claim(target: String, limit: Int) async throws -> [EscalationTask] {
        try state.withLock { state in
            state.claims += 1
            if state.isBroken { throw Broken() }
            let some = state.due.filter { $0.target == target }.prefix(limit)
            state.due.removeAll { task in some.contains { $0.id == task.id } }
            state.claimed.formUnion(some.map(\.id))
            return Array(some)
        }
    }

    func finish(_ task: EscalationTask, _ result: EscalationResult) async throws {
        try state.withLock { state in
            if state.isBroken { throw Broken() }
            if state.claimed.remove(task.id) == nil { state.excess.append(task.id) }
            state.finished[task.id] = result
        }
    }
}

extension EscalationTask {
    /// One for the target `t`.
    static func example(
        _ id: String, body: String = "{}", subscription: PushSubscription? = nil, attempt: Int = 1, since: Double,
        ttl: Int? = nil
    ) -> EscalationTask {
        EscalationTask(
            id: id, escalation: "escalation-\(id)", target: "t", attempt: attempt, since: since, group: "orders",
            user: "7",
            position: "e.h:1", body: ByteBuffer(string: body), subscription: subscription, ttl: ttl)
    }
}
