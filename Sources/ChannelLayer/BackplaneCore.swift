import Broker
import Logging
import NIOCore
import RedisClient

/// The parts of the backplane, wired: subscriptions, membership, lease and relay, and what each Redis link means to them.
///
/// Lives on its event loop.
final class BackplaneCore: RedisSubscriberDelegate {
    let membership: Membership
    let reader: HistoryReader
    private let configuration: LayerConfiguration
    private let keys: LayerKeys
    private let eventLoop: any EventLoop
    private let client: RedisClient
    private let subscriber: RedisSubscriber
    private let lease: GatewayLease
    private let relay: Relay
    private let feed: GroupFeed
    private let probe: SubscriptionProbe
    private let doorbell: Doorbell
    private let metrics: LayerMetrics
    private let logger: Logger
    private let onReady: @Sendable (Bool) -> Void
    private let onNameTaken: @Sendable (String) -> Void
    private let bells: [String: Int]

    private var throttle = LogThrottle()
    private var foreignThrottle = LogThrottle()
    private var vanishedThrottle = LogThrottle()
    /// The version of the policies that this gateway has written.
    private var policyVersion: Int?
    private var pulse: RepeatedTask?

    /// Counts the times that the command link came up: what an earlier one began must not finish in a later one.
    private var generation = 0
    private var isPrepared = false
    private var isPreparing = false
    private var wasEverPrepared = false
    /// Times that the gateway's name was found taken at the start.
    private var claims = 0
    private static let maximumClaims = 10
    private var isLive = false
    /// What was under way comes to its end without effect.
    private var isStopped = false
    private var seconds = 0
    private static let quietSeconds = 10
    private var wasReady = false
    /// When this process was last seen running.
    private var lastAwake = NIODeadline.now()
    private var isReading = false
    /// Messages have a TTL of whole seconds.
    private static let doze = TimeAmount.milliseconds(900)

    init(
        _ configuration: LayerConfiguration, keys: LayerKeys, client: RedisClient, eventLoop: any EventLoop,
        metrics: LayerMetrics, logger: Logger, onReady: @escaping @Sendable (Bool) -> Void,
        onNameTaken: @escaping @Sendable (String) -> Void
    ) {
        self.configuration = configuration
        self.keys = keys
        self.client = client
        self.eventLoop = eventLoop
        self.metrics = metrics
        self.logger = logger
        self.onReady = onReady
        self.onNameTaken = onNameTaken
        subscriber = RedisSubscriber(configuration.redis, on: eventLoop, logger: logger)
        membership = Membership(
            configuration, keys: keys, client: client, subscriber: subscriber, logger: logger)
        lease = GatewayLease(configuration, keys: keys, client: client, logger: logger)
        relay = Relay(configuration, keys: keys, client: client, metrics: metrics, logger: logger)
        reader = HistoryReader(keys: keys, client: client)
        probe = SubscriptionProbe(
            keys: keys, holder: lease.holder, client: client, subscriber: subscriber, logger: logger)
        doorbell = Doorbell(
            keys: keys, gatewayID: configuration.gatewayID, client: client, subscriber: subscriber, metrics: metrics,
            logger: logger)
        feed = GroupFeed(membership: membership, reader: reader, eventLoop: eventLoop, metrics: metrics, logger: logger)
        bells = Dictionary(uniqueKeysWithValues: (0..<LayerKeys.inboxCount).map { (keys.doorbell($0), $0) })
        wire()
    }

    private func wire() {
        lease.onLiving = { [unowned self] living in relay.living = living }
        lease.onForgotten = { [unowned self] in
            logger.notice("Redis has forgotten this gateway: writing the policies and all memberships again")
            client.submit(policiesCommand).assumeIsolated().whenSuccess { self.policiesWritten($0.int) }
            membership.refreshAll()
            // Meanwhile the fleet had no member in groups that are not logged, so Django's messages went to nobody here.
            feed.mayHaveMissedUnlogged()
            feed.doubtAll()
        }
        lease.onNameTaken = { [unowned self] other in nameTaken(by: other) }
        lease.onForeign = { [unowned self] keys in foreign(keys) }
        relay.onForeign = { [unowned self] keys in foreign(keys) }
        doorbell.onLook = { [unowned self] in relay.look() }
        lease.onSecond = { [unowned self] in second() }
        lease.onRefresh = { [unowned self] in membership.refreshAll(isRoutine: true) }
        lease.onFunctionsMissing = { [unowned self] in functionsMissing() }
        lease.fields = { [unowned self] in
            [
                ("connections", String(membership.connectionCount)), ("groups", String(membership.table.count)),
            ]
        }
        membership.onLeaseMissing = { [unowned self] in lease.renew() }
        membership.onVanished = { [unowned self] count in vanished(count) }
        membership.onFunctionsMissing = { [unowned self] in functionsMissing() }
        reader.onFunctionsMissing = { [unowned self] in functionsMissing() }
        membership.onJoined = { [unowned self] group, position in feed.joined(group, at: position) }
        membership.onLeft = { [unowned self] group in feed.left(group) }
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        pulse = eventLoop.scheduleRepeatedTask(initialDelay: .milliseconds(200), delay: .milliseconds(200)) { _ in
            bound.value.checkAwake()
        }
        lease.start()
        probe.start()
        doorbell.start()
        subscriber.delegate = self
        subscriber.start()
    }

    func attach(_ outlets: [any Outlet]) {
        feed.attach(outlets)
    }

    private func second() {
        relay.collectAll()
        seconds += 1
        // Nobody may be further behind than ten seconds without knowing it, even when no message follows.
        if seconds % Self.quietSeconds == 0, isLive { feed.doubtQuiet() }
    }

    func release() -> EventLoopFuture<Void> { lease.release() }

    func stop() {
        isStopped = true
        membership.pause()
        pulse?.cancel()
        lease.stop()
        probe.stop()
        doorbell.stop()
        relay.pause()
        subscriber.stop()
    }

    // MARK: The command link

    func commandsChanged(isUp: Bool) {
        guard !isStopped else { return }
        generation += 1
        if isUp {
            lease.linkUp()
            membership.gateway = lease.holder.text
            prepare()
        } else {
            isPrepared = false
            metrics.losses.add()
            membership.pause()
            relay.pause()
            lease.pause()
            doorbell.pause()
            readinessChanged()
        }
    }

    /// Somebody flushed the functions.
    private func functionsMissing() {
        if isPrepared { prepare() }
    }

    /// Functions, the gateway's name and the policies, before anything else is asked of this Redis.
    private func prepare() {
        guard !isPreparing else { return }
        isPreparing = true
        let generation = generation
        let (client, prefix, logger) = (client, configuration.prefix, logger)
        let (policies, holder, renewal) = (policiesCommand, lease.holder, lease.leaseCommand())
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        let eventLoop = eventLoop
        let isFirst = !wasEverPrepared
        Task {
            do {
                try await FunctionLibrary.ensureLoaded(by: client, logger: logger)
                if isFirst {
                    let other = try await GatewayLease.claim(with: renewal, for: holder, prefix: prefix, by: client)
                    if let other { return eventLoop.execute { bound.value.nameTakenAtStart(by: other) } }
                }
                let version = try await client.send(policies).int
                eventLoop.execute { bound.value.prepared(policyVersion: version, generation: generation) }
            } catch {
                eventLoop.execute { bound.value.couldNotPrepare(error) }
            }
        }
    }

    private func prepared(policyVersion: Int?, generation: Int) {
        isPreparing = false
        guard client.isUp, !isStopped else { return }
        // The link was lost and came back meanwhile: it may be another Redis.
        guard generation == self.generation else { return prepare() }
        isPrepared = true
        wasEverPrepared = true
        policiesWritten(policyVersion)
        // First: without a lease over this connection nobody joins.
        lease.resume()
        membership.resume()
        if isLive { feed.doubtAll() }
        relay.resume()
        doorbell.resume()
        readinessChanged()
    }

    // MARK: The name

    /// A process that was just killed may still count as listening for a moment.
    private func nameTakenAtStart(by other: NameHolder) {
        isPreparing = false
        claims += 1
        guard claims < Self.maximumClaims else { return nameTaken(by: other) }
        eventLoop.assumeIsolated().scheduleTask(in: .milliseconds(200)) {
            if self.client.isUp, !self.isPrepared, !self.isStopped { self.prepare() }
        }
    }

    private func nameTaken(by other: NameHolder) {
        guard !isStopped else { return }
        membership.pause()
        lease.pause()
        onNameTaken(
            "the name \(configuration.gatewayID) is in use by \(other): give this gateway another --id, or stop that one")
    }

    // MARK: What others did to our keys

    private func foreign(_ keys: [String]) {
        metrics.foreignKeys.add(keys.count)
        guard let held = foreignThrottle.pass() else { return }
        logger.error(
            "keys in Redis have another type than ours: what belongs to them is left until they are deleted or mended",
            metadata: [
                "keys": "\(keys.prefix(10).joined(separator: " "))", "count": "\(keys.count)", "held_back": "\(held)",
            ])
    }

    /// Members that were not there any more when they were refreshed: Django's sends to those groups went to nobody here.
    private func vanished(_ count: Int) {
        metrics.membersVanished.add(count)
        guard let held = vanishedThrottle.pass() else { return }
        logger.warning(
            "somebody had taken the fleet's member out of groups before it was refreshed: is the group_expiry of Django's channel layer shorter than redis.group_expiry? Set both alike",
            metadata: [
                "groups": "\(count)", "redis.group_expiry": "\(configuration.groupExpiry)", "held_back": "\(held)",
            ])
    }

    /// A newer version than ours is another gateway's, and stays.
    private func policiesWritten(_ version: Int?) {
        guard let version else { return }
        if let known = policyVersion, version > known {
            logger.notice(
                "another gateway has set the policies since this one did: its groups: are in force",
                metadata: ["version": "\(version)"])
        } else {
            policyVersion = version
        }
    }

    private func couldNotPrepare(_ error: any Error) {
        isPreparing = false
        if let held = throttle.pass() {
            logger.error("Redis is there but not usable", metadata: ["error": "\(error)", "held_back": "\(held)"])
        }
        eventLoop.assumeIsolated().scheduleTask(in: .milliseconds(500)) {
            if self.client.isUp, !self.isPrepared, !self.isStopped { self.prepare() }
        }
    }

    private var policiesCommand: RedisCommand {
        var command = RedisCommand.fcall("policy_set")
        command.append(configuration.prefix)
        command.append(Self.rulesText(configuration.policies))
        if let policyVersion { command.append(policyVersion) }
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
        isLive = true
        if isPrepared { feed.doubtAll() }
        probe.resume()
        doorbell.subscriptionIsLive()
        for channel in bells.keys + [keys.controlChannel] { _ = subscriber.subscribe(channel) }
        readinessChanged()
    }

    func subscriberLost(_ reason: RedisError) {
        isLive = false
        probe.pause()
        doorbell.subscriptionLost()
        feed.subscriptionEnded(bySilence: reason.code == .timeout)
        metrics.losses.add()
        readinessChanged()
    }

    private func readinessChanged() {
        let isReady = isPrepared && isLive
        metrics.redisUp.set(isReady ? 1 : 0)
        guard isReady != wasReady else { return }
        wasReady = isReady
        onReady(isReady)
    }

    // MARK: Messages

    /// After a sleep (a frozen process or machine) what has waited in the socket may have expired: the log knows, so it is
    /// read first.
    private func checkAwake() {
        let now = NIODeadline.now()
        if now - lastAwake > Self.doze, isLive { feed.doubtAll() }
        lastAwake = now
    }

    func subscriber(received payload: ByteBuffer, on channel: String) {
        if !isReading {
            isReading = true
            checkAwake()
        }
        guard let entry = membership.table[channel] else {
            if probe.received(on: channel) || doorbell.received(on: channel) { return }
            if channel == keys.controlChannel { return control(payload) }
            if channel.hasPrefix(keys.presencePrefix) { return presence(payload, on: channel) }
            if let inbox = bells[channel], Self.isWrite(payload) { relay.ring(inbox) }
            return
        }
        metrics.received.add()
        metrics.receivedBytes.add(payload.readableBytes)
        do {
            let message = try WireMessage.decode(configuration.encryption.opened(payload))
            feed.received(
                Publication(
                    group: entry.group, position: Self.position(message.stamp), json: message.json,
                    isLogged: entry.isLogged),
                for: entry)
        } catch {
            metrics.malformedLive.add()
            if let position = Self.position(WireMessage.stamp(ofUnreadable: payload)) {
                feed.unreadable(entry.group, at: position)
            }
            if let held = throttle.pass() {
                logger.warning(
                    "dropped a published message that is no JSON object and no msgpack map",
                    metadata: ["group": "\(entry.group)", "reason": "\(error)", "held_back": "\(held)"])
            }
        }
    }

    private static func position(_ stamp: ByteBuffer?) -> Position? {
        stamp?.withUnsafeReadableBytes { Position(utf8: $0.bindMemory(to: UInt8.self)) }
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
