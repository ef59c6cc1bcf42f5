import Broker
import Logging
import NIOCore
import RedisClient

/// The parts of the backplane, wired: subscriptions, membership, lease and relay, and what each Redis link means to them,
/// which `LinkHealth` decides.
///
/// Lives on its event loop.
final class BackplaneCore: RedisSubscriberDelegate {
    let membership: Membership
    let reader: HistoryReader
    let configuration: LayerConfiguration
    let functions: LayerFunctions
    let eventLoop: any EventLoop
    let client: RedisClient
    private let subscriber: RedisSubscriber
    let lease: GatewayLease
    let relay: Relay
    let feed: GroupFeed
    private let probe: SubscriptionProbe
    let doorbell: Doorbell
    private let metrics: LayerMetrics
    let logger: Logger
    private let onReadiness: @Sendable (_ reasons: [String]) -> Void
    let onNameTaken: @Sendable (String) -> Void
    private let routes: ChannelRoutes
    private let clock: LayerClock
    /// The same for gateways whose `groups:` are the same.
    private let policiesDigest: String

    private(set) var health = LinkHealth()
    /// Commands go to another server now.
    var onMoved: (() -> Void)?

    private var throttle = LogThrottle()
    let neighbours: NeighbourLog
    private var trouble = TroubleLog()

    /// The version of the policies that this gateway has written.
    var policyVersion: Int?
    /// The version of other policies that are in force, and were said to be.
    var othersPolicies: Int?
    /// Times that the gateway's name was found taken at the start.
    var claims = 0
    static let maximumClaims = 5
    var preparation: Task<Void, Never>?
    /// When a refusal was last the reason to try what is refused.
    private var doubted: NIODeadline?
    private static let quietSeconds = 10
    private var reasons: [String]?
    private var isReading = false

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
        policiesDigest = PolicyDigest.of(configuration.policies)
        lease = GatewayLease(configuration, functions: functions, client: client, logger: logger)
        routes = ChannelRoutes(keys: keys, gatewayID: configuration.gatewayID, process: lease.holder.process)
        subscriber = RedisSubscriber(
            configuration.redis, permanent: routes.permanent, on: eventLoop, logger: logger)
        membership = Membership(
            configuration, functions: functions, client: client, subscriber: subscriber, logger: logger)
        relay = Relay(configuration, functions: functions, client: client, metrics: metrics, logger: logger)
        reader = HistoryReader(functions: functions, client: client)
        probe = SubscriptionProbe(
            keys: keys, holder: lease.holder, client: client, subscriber: subscriber, logger: logger)
        doorbell = Doorbell(
            keys: keys, gatewayID: configuration.gatewayID, client: client, metrics: metrics, logger: logger)
        feed = GroupFeed(membership: membership, reader: reader, eventLoop: eventLoop, metrics: metrics, logger: logger)
        wire()
    }

    private var keys: LayerKeys { functions.keys }

    private func wire() {
        lease.onLiving = { [unowned self] living in relay.living = living }
        lease.onPolicies = { [unowned self] version in policiesInForce(version) }
        lease.onForgotten = { [unowned self] in
            logger.notice("Redis has forgotten this gateway: writing the policies and all memberships again")
            client.call(policiesCall) { if case .success(let answer) = $0 { self.policiesWritten(answer) } }
            membership.refreshAll()
            // Meanwhile the fleet had no member in groups that are not logged, so Django's messages went to nobody here.
            feed.mayHaveMissedUnlogged()
            feed.doubtAll()
        }
        lease.onNameTaken = { [unowned self] other in nameTaken(by: other) }
        lease.onForeign = { [unowned self] keys in neighbours.foreign(keys) }
        relay.onForeign = { [unowned self] keys in neighbours.foreign(keys) }
        doorbell.onLook = { [unowned self] in relay.look() }
        clock.onSecond = { [unowned self] in second($0) }
        // After a sleep what has waited in the socket may have expired: the log knows, so it is read first.
        clock.onWake = { [unowned self] in if health.isLive { feed.doubtAll() } }
        lease.onRefresh = { [unowned self] in membership.refreshAll(isRoutine: true) }
        lease.onAnswer = { [unowned self] error in renewed(error) }
        lease.fields = { [unowned self] in
            [
                ("connections", String(membership.connectionCount)), ("groups", String(membership.table.count)),
                ("policies", policiesDigest),
            ]
        }
        membership.onLeaseMissing = { [unowned self] in lease.renew() }
        membership.onVanished = { [unowned self] in neighbours.vanished($0, expiry: configuration.groupExpiry) }
        membership.onJoined = { [unowned self] group, position in feed.joined(group, at: position) }
        membership.onLeft = { [unowned self] group in feed.left(group) }
        clock.start()
        lease.start()
        probe.start()
        doorbell.start()
        subscriber.delegate = self
        subscriber.start()
    }

    func attach(_ outlets: [any Outlet]) {
        feed.attach(outlets)
    }

    private func second(_ seconds: Int) {
        relay.collectAll()
        lease.sweep()
        membership.releaseSlack()
        feed.releaseSlack()
        subscriber.releaseSlack()
        // Nobody may be further behind than ten seconds without knowing it, even when no message follows.
        if seconds % Self.quietSeconds == 0, health.isLive { feed.doubtQuiet() }
    }

    /// Begins to stop: what is under way is to end before the lease is given back, or it would take it again.
    func end() -> Task<Void, Never>? {
        handle(.stop)
        lease.stop()
        preparation?.cancel()
        return preparation
    }

    func release() -> EventLoopFuture<Void> { lease.release() }

    /// After `end()`.
    func stop() {
        membership.pause()
        clock.stop()
        probe.stop()
        doorbell.stop()
        relay.pause()
        subscriber.stop()
    }

    // MARK: The command link

    func commands(_ event: RedisClient.Event) {
        switch event {
        case .up:
            lease.linkUp()
            membership.gateway = lease.holder.text
            handle(.up)
        case .down(let error):
            metrics.losses.add()
            handle(.down(error))
        case .missed(let error): handle(.missed(error))
        case .refused(let error): refused(error)
        }
    }

    /// The link for messages, where it is one of its own.
    func messages(_ event: RedisClient.Event) {
        switch event {
        case .refused(let error): refused(error)
        case .down(let error) where error.isOfReplica: doubt()
        case .up, .down, .missed: break
        }
    }

    private func refused(_ error: RedisError) {
        if FunctionLibrary.isMissing(error) { return handle(.functionsMissing) }
        if RedisTrouble.refusesAll(error) { return handle(.refused(error)) }
        // Which right it is, and which others, the trial says.
        if RedisTrouble.refusesRight(error) { doubt() }
    }

    /// Something of ours was refused, and it is to be seen whether all is.
    private func doubt() {
        let now = NIODeadline.now()
        guard health.commands == .serving, doubted.map({ now - $0 >= .seconds(1) }) ?? true else { return }
        doubted = now
        lease.renew()
    }

    /// The lease was written; is everything else let through too?
    private func renewed(_ error: RedisError?) {
        if let error, !RedisTrouble.refusesRight(error) { return handle(.refused(error)) }
        client.call(functions.tocsinVersion) { [self] result in
            // Another gateway may have loaded a library that this one does not understand.
            if case .success(let loaded) = result, loaded.verdict(own: FunctionLibrary.version) == .tooNew {
                return handle(.refused(FunctionLibrary.tooNew(loaded)))
            }
            tryRights(after: error)
        }
    }

    private func tryRights(after error: RedisError?) {
        client.call(GatewayTrial.call(functions, configuration)) { [self] result in
            switch result {
            case .success(let missing):
                let refusal = GatewayTrial.verdict(missing, user: configuration.redis.address.user)
                handle((refusal ?? error).map { .refused($0) } ?? .written)
            case .failure(let error) where error.code == .server:
                if !FunctionLibrary.isMissing(error) { handle(.refused(error)) }
            case .failure: break  // the link has its own deadline
            }
        }
    }

    func handle(_ event: LinkHealth.Event) {
        for action in health.handle(event) { perform(action) }
        readinessChanged()
    }

    private func perform(_ action: LinkHealth.Action) {
        switch action {
        case .prepare(let isFirst): prepare(isFirst: isFirst)
        case .serve: serve()
        case .pause:
            membership.pause()
            relay.pause()
            lease.pause()
            doorbell.pause()
        case .hold(let words):
            membership.pause(words)
            relay.pause()
            lease.isHeld = true
        case .proceed:
            lease.isHeld = false
            membership.resume()
            relay.resume()
        case .renew: lease.renew()
        case .retry(let number, let pause):
            eventLoop.assumeIsolated().scheduleTask(in: pause) { self.handle(.retryIsDue(number)) }
        case .resubscribe:
            subscriber.reconnect(RedisError(.timeout, "commands go to another server now: messages come from there"))
            onMoved?()
        case .complain(let error):
            if let held = trouble.begins(RedisTrouble.kind(error)) {
                logger.error(
                    "not ready: \(RedisTrouble.words(error))", metadata: ["held_back": "\(held)"])
            }
        case .relieved:
            if trouble.ends() { logger.notice("ready again: Redis takes what it refused") }
        }
    }

    // MARK: The subscription link

    func subscriberIsLive() {
        handle(.live)
        if health.canRead { feed.doubtAll() }
        probe.resume()
        doorbell.subscriptionIsLive()
    }

    func subscriberLost(_ reason: RedisError) {
        probe.pause()
        doorbell.subscriptionLost()
        feed.subscriptionEnded(bySilence: reason.code == .timeout)
        metrics.losses.add()
        handle(.lost(reason))
        if RedisTrouble.refusesRight(reason) { doubt() }
    }

    func subscriberRefused(_ reason: RedisError) { doubt() }

    private func readinessChanged() {
        let reasons = health.reasons
        guard reasons != self.reasons else { return }
        self.reasons = reasons
        metrics.redisUp.set(reasons.isEmpty ? 1 : 0)
        onReadiness(reasons)
    }

    // MARK: Messages

    func subscriber(received payload: ByteBuffer, on channel: String) {
        if !isReading {
            isReading = true
            clock.checkAwake()
        }
        guard let entry = membership.table[channel] else { return received(payload, for: routes[channel]) }
        metrics.received.add()
        metrics.receivedBytes.add(payload.readableBytes)
        do {
            let message = try WireMessage.decode(configuration.encryption.opened(payload))
            let stamp = message.stamp.flatMap { Stamp($0) }
            feed.received(
                Publication(
                    group: entry.group, position: stamp?.position, json: message.json,
                    isLogged: stamp?.isLogged ?? false),
                for: entry)
        } catch {
            metrics.malformedLive.add()
            if let stamp = WireMessage.stamp(ofUnreadable: payload).flatMap({ Stamp($0) }) {
                feed.unreadable(entry.group, at: stamp.position)
            }
            if let held = throttle.pass() {
                logger.warning(
                    "dropped a published message that is neither a JSON object nor a msgpack map",
                    metadata: ["group": "\(entry.group)", "reason": "\(error)", "held_back": "\(held)"])
            }
        }
    }

    private func received(_ payload: ByteBuffer, for route: ChannelRoute) {
        switch route {
        case .probe: probe.heard()
        case .bell: doorbell.heard()
        case .control: control(payload)
        case .presence(let group): presence(payload, of: group)
        case .inbox(let inbox): if Self.isWrite(payload) { relay.ring(inbox) }
        case .unknown: break
        }
    }

    /// An operator's word to all gateways.
    private func control(_ payload: ByteBuffer) {
        guard let selection = ControlMessage.selection(payload) else {
            if let held = throttle.pass() {
                logger.warning(
                    "ignored an unknown message on the control channel", metadata: ["held_back": "\(held)"])
            }
            return
        }
        feed.everywhere(.end(selection))
    }

    private func presence(_ payload: ByteBuffer, of group: GroupName) {
        guard let (entry, joined) = PresenceEntry.event(payload) else { return metrics.malformedLive.add() }
        feed.presence(group, entry, joined: joined)
    }

    func subscriberReadComplete() {
        isReading = false
        feed.flush()
    }

    /// Of an inbox' events only new messages count: our own popping rings too.
    private static func isWrite(_ event: ByteBuffer) -> Bool {
        let event = event.readableBytesView
        return event.elementsEqual("zadd".utf8) || event.elementsEqual("lpush".utf8)
            || event.elementsEqual("rpush".utf8)
    }
}

@available(*, unavailable) extension BackplaneCore: Sendable {}
