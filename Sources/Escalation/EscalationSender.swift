public import Broker
import Foundation
public import Logging
public import NIOCore
import Synchronization

/// Sends one target's escalations: claims what is due, sends it side by side, and reports what became of it.
///
/// `SendingSlots` decides what is sent when, `RetryPlan` what an outcome means; this performs it. Each target has a sender of its
/// own, so one that hangs delays no other. Any thread may call it.
public actor EscalationSender {
    /// The target's name in the configuration.
    public nonisolated let name: String

    private let queue: any EscalationQueue
    private let transport: any EscalationTransport
    private let kind: RetryPlan.Kind
    private let metrics: EscalationMetrics
    private let log: EscalationLog
    private let second: Duration
    private var slots: SendingSlots
    /// Claimed and not finished.
    private var tasks: [String: EscalationTask] = [:]
    private var ticking: Task<Void, Never>?
    private var stopWaiters: [CheckedContinuation<Void, Never>] = []
    private var hasStopped = false
    private nonisolated let isWoken = Mutex(false)

    /// - Parameters:
    ///   - policy: for Web Push only.
    ///   - group: serves the connections; stays the caller's.
    /// - Throws: `EscalationError` when the file of `policy.trustRoots` cannot be used.
    public init(
        name: String, target: EscalationTarget, queue: any EscalationQueue, policy: OutboundPolicy = OutboundPolicy(),
        group: any EventLoopGroup, metrics: Metrics, logger: Logger
    ) throws(EscalationError) {
        let roots = try policy.certificates()
        let connections = target.maxInFlight
        let transport: any EscalationTransport
        switch target {
        case .webhook(let webhook):
            transport = WebhookTransport(
                webhook, client: OutboundRequest.client(on: group, connections: connections, roots: roots))
        case .webPush(let push):
            let clients = PinnedClients(policy: policy, resolver: SystemResolver(on: group.any())) { overrides in
                OutboundRequest.client(on: group, connections: connections, roots: roots, overrides: overrides)
            }
            transport = WebPushTransport(push, clients: clients)
        }
        self.init(name: name, target: target, transport: transport, queue: queue, metrics: metrics, logger: logger)
    }

    /// - Parameter second: how often it looks for what is due; shorter in tests.
    init(
        name: String, target: EscalationTarget, transport: any EscalationTransport, queue: any EscalationQueue,
        metrics: Metrics, logger: Logger, second: Duration = .seconds(1)
    ) {
        self.name = name
        self.queue = queue
        self.transport = transport
        self.second = second
        kind = if case .webhook = target { .webhook } else { .webPush }
        self.metrics = EscalationMetrics(metrics, target: name)
        log = EscalationLog(target: name, logger: logger)
        slots = SendingSlots(capacity: target.maxInFlight, perOrigin: target.maxInFlightPerOrigin)
    }

    // MARK: The owner's calls

    /// Begins. Called once.
    public func start() {
        guard ticking == nil, !slots.isStopping else { return }
        let second = second
        ticking = Task { [weak self] in
            while !Task.isCancelled {
                try? await Task.sleep(for: second)
                await self?.tick()
            }
        }
        perform(slots.wake())
    }

    /// Something may be due: it is claimed now instead of within a second. Cheap, also when called for each message.
    public nonisolated func wake() {
        let isFirst = isWoken.withLock { isWoken in
            defer { isWoken = true }
            return !isWoken
        }
        if isFirst { Task { await self.woken() } }
    }

    /// Ends. Requests on their way are finished, which takes at most the target's time-out; what else is claimed is put back. Has
    /// to be called before the last reference is given up, also when the sender was never started.
    public func stop() async {
        ticking?.cancel()
        perform(slots.stop())
        guard !hasStopped else { return }
        await withCheckedContinuation { stopWaiters.append($0) }
    }

    // MARK: Events

    private func woken() {
        isWoken.withLock { $0 = false }
        perform(slots.wake())
    }

    private func tick() { perform(slots.tick()) }

    private func claimed(_ claims: [EscalationTask], limit: Int) {
        // What is held already stays as it was claimed first.
        tasks.merge(claims.map { ($0.id, $0) }) { held, _ in held }
        perform(slots.claimed(claims.map { .init(id: $0.id, origin: transport.origin(of: $0)) }, limit: limit))
    }

    private func claimFailed(_ error: any Error) {
        log.queueFailed("claim", error)
        perform(slots.claimFailed())
    }

    private func ended(_ task: EscalationTask) {
        tasks[task.id] = nil
        perform(slots.ended(task.id))
    }

    // MARK: Actions

    private func perform(_ actions: [SendingSlots.Action]) {
        for action in actions {
            switch action {
            case .claim(let limit): Task { await claim(limit) }
            case .start(let id): if let task = tasks[id] { Task { await deliver(task) } }
            case .putBack(let id): if let task = tasks[id] { Task { await putBack(task) } }
            case .stopped: Task { await stopped() }
            }
        }
    }

    private func claim(_ limit: Int) async {
        do {
            claimed(try await queue.claim(target: name, limit: limit), limit: limit)
        } catch { claimFailed(error) }
    }

    private func deliver(_ task: EscalationTask) async {
        let now = Date().timeIntervalSince1970
        metrics.inFlight.add(1)
        let outcome = await transport.send(task, now: now)
        metrics.inFlight.add(-1)
        let age = max(Date().timeIntervalSince1970 - task.since, 0)
        let plan = RetryPlan(
            kind: kind, attempt: task.attempt, age: age, ttl: kind == .webPush ? task.ttl.map(Double.init) : nil)
        let result = plan.result(of: outcome, chance: .random(in: 0..<1))
        metrics.count(result)
        log.ended(task, origin: transport.origin(of: task), result)
        await finish(task, result)
    }

    /// Seconds until a task may be claimed again that found no slot.
    static let busyPause: Double = 10

    private func putBack(_ task: EscalationTask) async {
        let result: EscalationResult =
            slots.isStopping
            ? .retry(after: 0, reason: "the gateway stops")
            : .retry(after: Self.busyPause * .random(in: 0.8..<1.2), reason: "its push service is busy")
        await finish(task, result)
    }

    private func finish(_ task: EscalationTask, _ result: EscalationResult) async {
        do {
            try await queue.finish(task, result)
        } catch { log.queueFailed("finish", error) }
        ended(task)
    }

    private func stopped() async {
        await transport.close()
        hasStopped = true
        for waiter in stopWaiters { waiter.resume() }
        stopWaiters = []
    }
}
