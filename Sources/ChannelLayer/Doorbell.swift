import Broker
import Logging
import NIOCore
import RedisClient

/// What the doorbell reports to its owner, on the backplane's loop.
protocol DoorbellDelegate: AnyObject {
    /// The inboxes have to be checked: no keyspace notification may have come for a message.
    func doorbellChecksInboxes()
}

/// Learns that Django's core layer has written to an inbox: from Redis' keyspace notifications while they are heard, and
/// by looking while they are not.
///
/// Lives on the backplane's loop.
final class Doorbell {
    static let interval = TimeAmount.milliseconds(250)
    /// Polling interval while notifications do not arrive. Must be short, because the layer holds 100 messages per inbox.
    static let pollInterval = TimeAmount.milliseconds(20)

    private let client: RedisClient
    private let metrics: LayerMetrics
    private let logger: Logger
    private let key: String
    private var watch = DoorbellWatch()
    private var throttle = LogThrottle()
    private var ticks: RepeatedTask?
    private var polls: RepeatedTask?
    private var rings = 0
    private var isSetting = false
    /// Why the Redis setting could not be changed, for the log.
    private var obstacle: String?
    private var commandsAreUp = false
    private var isSubscribed = false

    weak var delegate: (any DoorbellDelegate)?

    init(
        keys: LayerKeys, gatewayID: String, client: RedisClient, metrics: LayerMetrics, logger: Logger
    ) {
        self.client = client
        self.metrics = metrics
        self.logger = logger
        key = keys.bell(gatewayID)
    }

    func start() {
        let bound = NIOLoopBound(self, eventLoop: client.eventLoop)
        ticks = client.eventLoop.scheduleRepeatedTask(initialDelay: Self.interval, delay: Self.interval) { _ in
            bound.value.tick()
        }
    }

    func stop() {
        ticks?.cancel()
        poll(false)
        if commandsAreUp { _ = client.submit(RedisCommand("DEL", key)) }
    }

    /// Call when the command link is usable.
    func resume() {
        commandsAreUp = true
        watch.lost()
        poll(true)
        set()
    }

    func pause() {
        commandsAreUp = false
        watch.lost()
        poll(false)
    }

    /// Call when all permanent channels, including the bell's, are subscribed.
    func subscriptionIsLive() {
        watch.lost()
        isSubscribed = true
    }

    func subscriptionLost() {
        isSubscribed = false
        watch.lost()
        poll(commandsAreUp)
    }

    /// Call when Redis has notified the gateway of its own test write.
    func heard() { perform(watch.heard()) }

    private func tick() {
        guard commandsAreUp else { return }
        // Without a subscription nothing can be heard; the messages wait all the same.
        if isSubscribed { perform(watch.tick()) } else { delegate?.doorbellChecksInboxes() }
    }

    private func perform(_ actions: [DoorbellWatch.Action]) {
        for action in actions {
            switch action {
            case .ring: ring()
            case .checkInboxes: delegate?.doorbellChecksInboxes()
            case .set: set()
            case .sayDeaf: sayDeaf()
            case .sayHearing: logger.notice("Redis rings again when Django's core layer writes")
            }
        }
        metrics.doorbellHeard.set(watch.mustPoll ? 0 : 1)
        poll(watch.mustPoll && commandsAreUp)
    }

    /// Writes a new score each time, because only changes are notified.
    private func ring() {
        rings += 1
        _ = client.submit(RedisCommand("ZADD", key, String(rings), "ring"))
        if rings % 64 == 1 { _ = client.submit(RedisCommand("EXPIRE", key, "60")) }
    }

    private func poll(_ isOn: Bool) {
        guard isOn != (polls != nil) else { return }
        polls?.cancel()
        polls = nil
        guard isOn else { return }
        let bound = NIOLoopBound(self, eventLoop: client.eventLoop)
        polls = client.eventLoop.scheduleRepeatedTask(initialDelay: Self.pollInterval, delay: Self.pollInterval) { _ in
            bound.value.delegate?.doorbellChecksInboxes()
        }
    }

    // MARK: The setting

    private func set() {
        guard !isSetting else { return }
        isSetting = true
        client.submit(RedisCommand("CONFIG", "GET", "notify-keyspace-events")).assumeIsolated().whenComplete { result in
            switch result {
            case .success(let reply): self.complete(reply.pairs.first?.1)
            case .failure(let error): self.isSet("\(error)")
            }
        }
    }

    private func complete(_ setting: String?) {
        guard let setting, let completed = KeyspaceEvents.completed(setting) else { return isSet(nil) }
        client.submit(RedisCommand("CONFIG", "SET", "notify-keyspace-events", completed)).assumeIsolated().whenComplete
        {
            result in
            if case .failure(let error) = result { return self.isSet("\(error)") }
            self.isSet(nil)
        }
    }

    private func isSet(_ obstacle: String?) {
        isSetting = false
        self.obstacle = obstacle
    }

    private func sayDeaf() {
        guard let held = throttle.pass() else { return }
        logger.warning(
            "Redis does not ring when Django's core layer writes: looking every 20 ms. notify-keyspace-events must include Kzl",
            metadata: [
                "obstacle": "\(obstacle ?? "somebody has changed it: it is being set again")", "held_back": "\(held)",
            ])
    }
}

@available(*, unavailable) extension Doorbell: Sendable {}

/// The setting `notify-keyspace-events` (redis.io, "Redis keyspace notifications").
enum KeyspaceEvents {
    static let needed: [Character] = ["K", "z", "l"]

    /// The setting with the needed flags added; nil when none is missing. `A` stands for all classes.
    static func completed(_ setting: String) -> String? {
        let missing = needed.filter { flag in
            !setting.contains(flag) && !(flag != "K" && setting.contains("A"))
        }
        return missing.isEmpty ? nil : setting + String(missing)
    }
}
