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
    private let configuration: LayerConfiguration
    private let keys: LayerKeys
    private let eventLoop: any EventLoop
    private let client: RedisClient
    private let subscriber: RedisSubscriber
    private let lease: GatewayLease
    private let relay: Relay
    private let reader: HistoryReader
    private let feed: GroupFeed
    private let probe: SubscriptionProbe
    private let metrics: LayerMetrics
    private let logger: Logger
    private let onReadiness: @Sendable (_ reasons: [String]) -> Void
    private let bells: [String: Int]

    private var health = LinkHealth()
    /// Commands go to another server now.
    var onMoved: (() -> Void)?

    private var throttle = LogThrottle()
    private var trouble = TroubleLog()
    private var polling: RepeatedTask?
    private var pulse: RepeatedTask?

    /// Whether Redis rings, as the last preparation found.
    private var rings = true
    /// When a refusal was last the reason to try what is refused.
    private var doubted: NIODeadline?
    private var seconds = 0
    private static let quietSeconds = 10
    private var reasons: [String]?
    /// When this process was last seen running.
    private var lastAwake = NIODeadline.now()
    private var isReading = false
    /// Messages have a TTL of whole seconds.
    private static let doze = TimeAmount.milliseconds(900)

    init(
        _ configuration: LayerConfiguration, keys: LayerKeys, client: RedisClient, eventLoop: any EventLoop,
        metrics: LayerMetrics, logger: Logger, onReadiness: @escaping @Sendable ([String]) -> Void
    ) {
        self.configuration = configuration
        self.keys = keys
        self.client = client
        self.eventLoop = eventLoop
        self.metrics = metrics
        self.logger = logger
        self.onReadiness = onReadiness
        bells = Dictionary(uniqueKeysWithValues: (0..<LayerKeys.inboxCount).map { (keys.doorbell($0), $0) })
        subscriber = RedisSubscriber(
            configuration.redis,
            permanent: bells.keys.sorted() + [keys.controlChannel, keys.probeChannel(configuration.gatewayID)],
            on: eventLoop, logger: logger)
        membership = Membership(
            configuration, keys: keys, client: client, subscriber: subscriber, logger: logger)
        lease = GatewayLease(configuration, keys: keys, client: client, logger: logger)
        relay = Relay(configuration, keys: keys, client: client, metrics: metrics, logger: logger)
        reader = HistoryReader(keys: keys, client: client)
        probe = SubscriptionProbe(
            keys: keys, gatewayID: configuration.gatewayID, client: client, subscriber: subscriber, logger: logger)
        feed = GroupFeed(membership: membership, reader: reader, eventLoop: eventLoop, metrics: metrics)
        wire()
    }

    private func wire() {
        lease.onLiving = { [unowned self] living in relay.living = living }
        lease.onForgotten = { [unowned self] in
            logger.notice("Redis has forgotten this gateway: writing the policies and all memberships again")
            _ = client.submit(policiesCommand)
            membership.refreshAll()
            feed.doubtAll()
        }
        lease.onSecond = { [unowned self] in second() }
        lease.onRefresh = { [unowned self] in membership.refreshAll() }
        lease.onFunctionsMissing = { [unowned self] in handle(.functionsMissing) }
        lease.onAnswer = { [unowned self] error in renewed(error) }
        lease.fields = { [unowned self] in
            [
                ("connections", String(membership.connectionCount)), ("groups", String(membership.table.count)),
            ]
        }
        membership.onFunctionsMissing = { [unowned self] in handle(.functionsMissing) }
        reader.onFunctionsMissing = { [unowned self] in handle(.functionsMissing) }
        membership.onJoined = { [unowned self] group, position in feed.joined(group, at: position) }
        membership.onLeft = { [unowned self] group in feed.left(group) }
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        pulse = eventLoop.scheduleRepeatedTask(initialDelay: .milliseconds(200), delay: .milliseconds(200)) { _ in
            bound.value.checkAwake()
        }
        lease.start()
        probe.start()
        subscriber.delegate = self
        subscriber.start()
    }

    func attach(_ outlets: [any Outlet]) {
        feed.attach(outlets)
    }

    func read(_ group: GroupName, since: Position?, _ promise: EventLoopPromise<HistoryPage>) {
        reader.read(group, since: since, promise)
    }

    private func second() {
        relay.collectAll()
        seconds += 1
        // Nobody may be further behind than ten seconds without knowing it, even when no message follows.
        if seconds % Self.quietSeconds == 0, health.isLive { feed.doubtQuiet() }
    }

    func release() -> EventLoopFuture<Void> { lease.release() }

    func stop() {
        handle(.stop)
        membership.pause()
        polling?.cancel()
        pulse?.cancel()
        lease.stop()
        probe.stop()
        relay.pause()
        subscriber.stop()
    }

    // MARK: The command link

    func commands(_ event: RedisClient.Event) {
        switch event {
        case .up: handle(.up)
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
        client.submit(GatewayTrial.command(configuration)).assumeIsolated().whenComplete { [self] result in
            switch result {
            case .success(let reply):
                let missing = GatewayTrial.verdict(reply, user: configuration.redis.address.user)
                handle((missing ?? error).map { .refused($0) } ?? .written)
            case .failure(let error as RedisError) where error.code == .server:
                handle(FunctionLibrary.isMissing(error) ? .functionsMissing : .refused(error))
            case .failure: break  // the link has its own deadline
            }
        }
    }

    private func handle(_ event: LinkHealth.Event) {
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
            polling?.cancel()
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

    /// Functions, rights, policies and the doorbell, before anything else is asked of this Redis.
    private func prepare(isFirst: Bool) {
        let (client, configuration, logger) = (client, configuration, logger)
        let policies = policiesCommand
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        let eventLoop = eventLoop
        Task {
            do {
                try await FunctionLibrary.ensureLoaded(by: client, logger: logger)
                try await GatewayTrial.run(configuration, by: client)
                if isFirst { try await GatewayLease.sweepPredecessor(of: configuration, by: client) }
                _ = try await client.send(policies)
                let rings = await Doorbell.install(by: client, logger: logger)
                eventLoop.execute { bound.value.prepared(rings: rings) }
            } catch {
                let error = error as? RedisError ?? RedisError(.unavailable, "\(error)")
                eventLoop.execute { bound.value.handle(.notPrepared(error)) }
            }
        }
    }

    private func prepared(rings: Bool) {
        self.rings = rings
        handle(.prepared)
    }

    private func serve() {
        client.confirm()
        membership.resume()
        if health.isLive { feed.doubtAll() }
        relay.resume()
        lease.isHeld = false
        lease.resume()
        polling?.cancel()
        guard !rings else { return }
        let bound = NIOLoopBound(relay, eventLoop: eventLoop)
        polling = eventLoop.scheduleRepeatedTask(initialDelay: .milliseconds(20), delay: .milliseconds(20)) { _ in
            bound.value.collectAll()
        }
    }

    private var policiesCommand: RedisCommand {
        var command = RedisCommand.fcall("policy_set")
        command.append(configuration.prefix)
        command.append(Self.rulesText(configuration.policies))
        return command
    }

    /// The policies as policy_set wants them. JSON by hand: four fixed fields.
    static func rulesText(_ policies: [GroupPolicy]) -> ByteBuffer {
        var text = ByteBuffer(string: "[")
        for (index, policy) in policies.enumerated() {
            text.writeString(index == 0 ? #"{"match":"# : #",{"match":"#)
            JSONText.appendString(policy.match.utf8, to: &text)
            text.writeString(#","size":\#(policy.historySize),"ttl":\#(policy.historyTTL)"#)
            text.writeString(policy.joinLeave ? #","join_leave":true}"# : "}")
        }
        text.writeString("]")
        return text
    }

    // MARK: The subscription link

    func subscriberIsLive() {
        handle(.live)
        if health.canRead { feed.doubtAll() }
        probe.resume()
    }

    func subscriberLost(_ reason: RedisError) {
        probe.pause()
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

    /// After a sleep (a frozen process or machine) what has waited in the socket may have expired: the log knows, so it is
    /// read first.
    private func checkAwake() {
        let now = NIODeadline.now()
        if now - lastAwake > Self.doze, health.isLive { feed.doubtAll() }
        lastAwake = now
    }

    func subscriber(received payload: ByteBuffer, on channel: String) {
        if !isReading {
            isReading = true
            checkAwake()
        }
        guard let entry = membership.table[channel] else {
            if probe.received(on: channel) { return }
            if channel == keys.controlChannel { return control(payload) }
            if channel.hasPrefix(keys.presencePrefix) { return presence(payload, on: channel) }
            if let inbox = bells[channel], Self.isWrite(payload) { relay.ring(inbox) }
            return
        }
        metrics.received.add()
        metrics.receivedBytes.add(payload.readableBytes)
        do {
            let message = try WireMessage.decode(configuration.encryption.opened(payload))
            let position = message.stamp?.withUnsafeReadableBytes { Position(utf8: $0.bindMemory(to: UInt8.self)) }
            feed.received(
                Publication(
                    group: entry.group, position: position ?? nil, json: message.json, isLogged: entry.isLogged),
                for: entry)
        } catch {
            metrics.malformedLive.add()
            if let held = throttle.pass() {
                logger.warning(
                    "dropped a published message that is no JSON object and no msgpack map",
                    metadata: ["group": "\(entry.group)", "reason": "\(error)", "held_back": "\(held)"])
            }
        }
    }

    /// An operator's word to all gateways.
    private func control(_ payload: ByteBuffer) {
        guard let selection = ControlMessage.selection(payload) else {
            if let held = throttle.pass() {
                logger.warning(
                    "what was said on the control channel is not understood here", metadata: ["held_back": "\(held)"])
            }
            return
        }
        feed.everywhere(.end(selection))
    }

    private func presence(_ payload: ByteBuffer, on channel: String) {
        guard let group = try? GroupName(String(channel.dropFirst(keys.presencePrefix.count))),
            let (entry, joined) = PresenceEntry.event(payload)
        else { return metrics.malformedLive.add() }
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
