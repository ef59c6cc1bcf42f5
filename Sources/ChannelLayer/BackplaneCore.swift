import Broker
import Logging
import NIOCore
import RedisClient

/// Wires the parts of the backplane: subscriptions, membership, lease and relay. Applies the state of the Redis links to
/// them, as decided by `LinkHealth`.
///
/// Lives on its event loop.
final class BackplaneCore {
    let membership: Membership
    let reader: HistoryReader
    let configuration: LayerConfiguration
    let functions: LayerFunctions
    let eventLoop: any EventLoop
    let client: RedisClient
    let subscriber: RedisSubscriber
    let lease: GatewayLease
    let relay: Relay
    let connections: ConnectionInbox
    let outgoing: OutgoingRelay
    let receipts: ReceiptWriter
    let due: DueRunner
    let feed: GroupFeed
    let probe: SubscriptionProbe
    let doorbell: Doorbell
    let metrics: LayerMetrics
    let logger: Logger
    let onReadiness: @Sendable (_ reasons: [String]) -> Void
    let onNameTaken: @Sendable (String) -> Void
    let routes: ChannelRoutes
    let clock: LayerClock
    /// The same for gateways whose `groups:` are the same.
    let policiesDigest: String

    var health = LinkHealth()
    /// Commands go to another server now.
    var onMoved: (() -> Void)?

    var throttle = LogThrottle()
    let neighbours: NeighbourLog
    var trouble = TroubleLog()

    /// The version of the policies that this gateway has written.
    var policyVersion: Int?
    /// The version of different policies in force that has been logged.
    var othersPolicies: Int?
    /// How often the gateway's name was found taken at startup.
    var claims = 0
    static let maximumClaims = 5
    var preparation: Task<Void, Never>?
    /// When a refusal was last the reason to try what is refused.
    var doubted: NIODeadline?
    var reasons: [String]?
    var isReading = false

    init(
        _ configuration: LayerConfiguration, keys: LayerKeys, client: RedisClient, eventLoop: any EventLoop,
        metrics: LayerMetrics, logger: Logger, onReadiness: @escaping @Sendable ([String]) -> Void,
        onNameTaken: @escaping @Sendable (String) -> Void
    ) {
        self.configuration = configuration
        functions = LayerFunctions(keys: keys)
        self.client = client
        self.eventLoop = eventLoop
        self.metrics = metrics
        self.logger = logger
        self.onReadiness = onReadiness
        self.onNameTaken = onNameTaken
        neighbours = NeighbourLog(metrics: metrics, logger: logger)
        clock = LayerClock(eventLoop: eventLoop)
        policiesDigest = PolicyDigest.of(
            configuration.policies, layer: configuration.layerTerms, targets: configuration.targetTerms)
        lease = GatewayLease(configuration, functions: functions, client: client, logger: logger)
        routes = ChannelRoutes(
            keys: keys, gatewayID: configuration.gatewayID, process: lease.holder.process,
            encrypts: !configuration.encryption.isEmpty)
        subscriber = RedisSubscriber(
            configuration.redis, permanent: routes.permanent, pairs: keys.channelPairs,
            pattern: LayerKeys.directPattern, on: eventLoop, logger: logger)
        membership = Membership(
            configuration, functions: functions, client: client, subscriber: subscriber, logger: logger)
        relay = Relay(configuration, functions: functions, client: client, metrics: metrics, logger: logger)
        connections = ConnectionInbox(
            configuration, functions: functions, client: client, metrics: metrics, logger: logger)
        outgoing = OutgoingRelay(configuration, functions: functions, client: client, logger: logger)
        receipts = ReceiptWriter(functions: functions, client: client, metrics: metrics, logger: logger)
        due = DueRunner(
            gatewayID: configuration.gatewayID, functions: functions, client: client, metrics: metrics, logger: logger)
        reader = HistoryReader(functions: functions, client: client)
        probe = SubscriptionProbe(
            keys: keys, holder: lease.holder, client: client, subscriber: subscriber, logger: logger)
        doorbell = Doorbell(
            keys: keys, gatewayID: configuration.gatewayID, client: client, metrics: metrics, logger: logger)
        feed = GroupFeed(membership: membership, reader: reader, eventLoop: eventLoop, metrics: metrics, logger: logger)
        start()
    }

    var keys: LayerKeys { functions.keys }

    private func start() {
        lease.delegate = self
        membership.delegate = self
        relay.delegate = self
        connections.delegate = self
        doorbell.delegate = self
        clock.delegate = self
        subscriber.delegate = self
        clock.start()
        lease.start()
        probe.start()
        doorbell.start()
        subscriber.start()
    }

    func attach(_ outlets: [any Outlet]) {
        feed.attach(outlets)
    }

    /// Begins to stop: what is under way is to end before the lease is given back, or it would take it again.
    func end() -> Task<Void, Never>? {
        handle(.stop)
        lease.stop()
        preparation?.cancel()
        return preparation
    }

    func release() -> EventLoopFuture<Void> { lease.release() }

    /// Call after `end()`.
    func stop() {
        membership.pause()
        clock.stop()
        probe.stop()
        doorbell.stop()
        relay.pause()
        connections.pause()
        outgoing.pause()
        due.pause()
        subscriber.stop()
    }
}

@available(*, unavailable) extension BackplaneCore: Sendable {}
