import Broker
import ChannelLayer
import Escalation
import Logging
import NIOCore

/// Delivers escalations to the configured targets: a sender for each, over all Redis servers. Any thread.
struct EscalationSenders {
    private let senders: [EscalationSender]

    /// - Throws: `ConfigurationError` when a file of a target cannot be used.
    init(
        _ targets: [(EscalationSettings, EscalationTarget)], _ backplane: ShardedBackplane,
        on group: any EventLoopGroup, metrics: Metrics,
        logger: Logger
    ) throws(ConfigurationError) {
        var senders: [EscalationSender] = []
        for (settings, target) in targets {
            let queue = LayerEscalationQueue(backplane.escalationTasks, most: settings.maxInFlight, settings.policy)
            do throws(EscalationError) {
                senders.append(
                    try EscalationSender(
                        name: settings.name, target: target, queue: queue, policy: settings.policy, group: group,
                        metrics: metrics, logger: logger))
            } catch {
                throw ConfigurationError("escalations.\(settings.name): \(error)")
            }
        }
        self.senders = senders
        let woken = senders
        backplane.onEscalation { for sender in woken { sender.wake() } }
    }

    func start() async { for sender in senders { await sender.start() } }

    /// Requests on their way are finished; what else is claimed is put back.
    func stop() async {
        await withTaskGroup(of: Void.self) { group in
            for sender in senders { group.addTask { await sender.stop() } }
        }
    }
}

/// The tasks of escalations in Redis, as senders claim and finish them.
private struct LayerEscalationQueue: EscalationQueue {
    private let shards: ShardRouter<EscalationTasks>
    /// Tasks in flight in the whole fleet.
    private let most: Int
    private let policy: OutboundPolicy

    init(_ shards: ShardRouter<EscalationTasks>, most: Int, _ policy: OutboundPolicy) {
        self.shards = shards
        self.most = most
        self.policy = policy
    }

    func claim(target: String, limit: Int) async throws -> [EscalationTask] {
        var tasks: [EscalationTask] = [], failure: (any Error)?
        for shard in shards.shards where tasks.count < limit {
            do {
                let claimed = try await shard.claim(target, most: most, limit: limit - tasks.count)
                for task in claimed {
                    if let readable = read(task, target) {
                        tasks.append(readable)
                    } else {
                        try await shard.finish(
                            target, id: task.id, attempt: task.attempt,
                            .dead(reason: "the push subscription cannot be used"))
                    }
                }
            } catch {
                failure = error
            }
        }
        // One server that is away delays no task of the others.
        if tasks.isEmpty, let failure { throw failure }
        return tasks
    }

    /// nil: the subscription was written by somebody else than a gateway, or the policy has changed.
    private func read(_ task: ClaimedTask, _ target: String) -> EscalationTask? {
        var subscription: PushSubscription?
        if let json = task.subscription {
            guard let parsed = try? PushSubscription(json: json, policy: policy) else { return nil }
            subscription = parsed
        }
        return EscalationTask(
            id: task.id, escalation: task.escalation, target: target, attempt: task.attempt, since: task.since,
            group: task.group, user: task.user, position: task.position, body: task.body, subscription: subscription,
            ttl: task.ttl, urgency: task.urgency, topic: task.topic)
    }

    func finish(_ task: EscalationTask, _ result: EscalationResult) async throws {
        guard let group = try? GroupName(task.group) else { return }
        let outcome: TaskResult =
            switch result {
            case .done: .done
            case .gone: .gone
            case .retry(let after, let reason): .retry(milliseconds: Int(after * 1000), reason: reason)
            case .dead(let reason): .dead(reason: reason)
            }
        try await shards[group].finish(task.target, id: task.id, attempt: task.attempt, outcome)
    }
}
