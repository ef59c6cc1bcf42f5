import Broker
import Logging
import Synchronization

/// One target's log lines: at most one per minute and kind. Of an endpoint only the origin is logged.
final class EscalationLog: Sendable {
    private struct Throttles {
        var retried = LogThrottle()
        var dead = LogThrottle()
        var queue = LogThrottle()
    }
    private let throttles = Mutex(Throttles())
    private let logger: Logger
    private let target: String

    init(target: String, logger: Logger) {
        self.target = target
        self.logger = logger
    }

    func ended(_ task: EscalationTask, origin: String, _ result: EscalationResult) {
        switch result {
        case .done, .gone: break
        case .retry(let after, let reason):
            guard let held = throttles.withLock({ $0.retried.pass() }) else { return }
            var facts = facts(task, origin, reason, held)
            facts["again_in"] = "\(Int(after.rounded(.up)))s"
            logger.warning("an escalation could not be sent and is tried again", metadata: facts)
        case .dead(let reason):
            guard let held = throttles.withLock({ $0.dead.pass() }) else { return }
            logger.error("an escalation was given up", metadata: facts(task, origin, reason, held))
        }
    }

    /// - Parameter operation: of the queue.
    func queueFailed(_ operation: String, _ error: any Error) {
        guard let held = throttles.withLock({ $0.queue.pass() }) else { return }
        logger.warning(
            "the queue of escalations failed",
            metadata: ["target": "\(target)", "operation": "\(operation)", "error": "\(error)", "held_back": "\(held)"])
    }

    private func facts(_ task: EscalationTask, _ origin: String, _ reason: String, _ held: Int) -> Logger.Metadata {
        [
            "target": "\(target)", "to": "\(origin)", "escalation": "\(task.escalation)", "group": "\(task.group)",
            "attempt": "\(task.attempt)", "why": "\(reason)", "held_back": "\(held)",
        ]
    }
}
