import Broker
import Logging
import NIOCore
import RedisClient

/// What the relay reports to its owner, on the backplane's loop.
protocol RelayDelegate: AnyObject {
    /// A staging key has another type than ours; its messages are staged beside it.
    func relayFoundForeign(_ key: String)
    /// The site's layer is configured otherwise than this gateway: what does not fit, and what to set.
    func relayFoundMisfit(_ words: String)
}

/// Carries what Django's core layer sent to the fleet's members over to the fleet: inbox → staging → log and pub/sub.
///
/// Every gateway is notified when an inbox is written (`Doorbell`). The first in the inbox's rendezvous order collects
/// immediately, the next ones a little later in case it is dead or stuck, and all check once a second. A collector gets the
/// staged messages and commits them in order; a commit succeeds only for the oldest staged message. Each message is therefore
/// sent exactly once and in order, whichever gateways do it and however often they die.
///
/// Lives on the backplane's loop.
final class Relay {
    /// Messages taken from staging in one call.
    static let batch = 200
    /// Extra delay per rank in the order. Short, because the layer holds only 100 messages per inbox.
    static let patience = TimeAmount.milliseconds(50)

    private struct Inbox {
        var turn = CollectionTurn()
        var isScheduled = false
    }

    private let functions: LayerFunctions
    private let gatewayID: String
    private let encryption: FernetKeys
    /// Random bytes in front of each message.
    private let prefixLength: Int
    private let serializer: LayerSettings.Serializer
    private let client: RedisClient
    private let logger: Logger
    private let metrics: LayerMetrics
    private var inboxes = [Inbox](repeating: Inbox(), count: LayerKeys.inboxCount)
    private var throttle = LogThrottle()
    private var isActive = false
    /// The living gateways, as of the last renewal of the lease.
    var living: [String] = []
    /// At which end of a list the site pushes; nil: not heard yet.
    var push: ListPush?
    /// An EXISTS over the inboxes is under way.
    private var isChecking = false
    weak var delegate: (any RelayDelegate)?

    init(
        _ configuration: LayerConfiguration, functions: LayerFunctions, client: RedisClient, metrics: LayerMetrics,
        logger: Logger
    ) {
        self.functions = functions
        gatewayID = configuration.gatewayID
        encryption = configuration.encryption
        prefixLength = configuration.inboxPrefixLength
        serializer = configuration.serializer
        self.client = client
        self.metrics = metrics
        self.logger = logger
    }

    private var keys: LayerKeys { functions.keys }

    func resume() {
        isActive = true
        collectAll()
    }

    func pause() {
        isActive = false
        isChecking = false
        inboxes = [Inbox](repeating: Inbox(), count: LayerKeys.inboxCount)
    }

    /// Call when the inbox was written.
    func ring(_ inbox: Int) {
        guard isActive else { return }
        let delay = Rendezvous.delay(
            of: gatewayID, for: keys.fleetChannel(inbox), among: living, perRank: Self.patience)
        if delay == .zero { return collect(inbox) }
        guard !inboxes[inbox].isScheduled else { return }
        inboxes[inbox].isScheduled = true
        client.eventLoop.assumeIsolated().scheduleTask(in: delay) {
            self.inboxes[inbox].isScheduled = false
            self.collect(inbox)
        }
    }

    /// Checks with one cheap command whether any inbox has messages, and if so rings for all of them.
    func checkInboxes() {
        guard isActive, !isChecking else { return }
        isChecking = true
        var command = RedisCommand("EXISTS")
        for inbox in inboxes.indices { command.append(keys.inbox(inbox)) }
        client.submit(command).assumeIsolated().whenComplete { result in
            self.isChecking = false
            guard case .success(let reply) = result, let count = reply.int, count > 0 else { return }
            for inbox in self.inboxes.indices { self.ring(inbox) }
        }
    }

    /// The fallback: collects all inboxes, whatever this gateway's rank.
    func collectAll() {
        for inbox in inboxes.indices { collect(inbox) }
    }

    private func collect(_ inbox: Int) {
        guard isActive, inboxes[inbox].turn.begin() else { return }
        client.call(functions.relayCollect(inbox: inbox, limit: Self.batch, push: push)) { result in
            switch result {
            case .success(let answer):
                if answer.hasMore { self.inboxes[inbox].turn.foundMore() }
                if let foreign = answer.foreign { self.delegate?.relayFoundForeign(foreign) }
                self.commit(answer.staged, inbox: inbox)
            case .failure(let error):
                self.complain("the fleet's inbox \(self.keys.inbox(inbox)) cannot be read", error)
                self.finish(inbox, more: false)
            }
        }
    }

    private func finish(_ inbox: Int, more: Bool) {
        if inboxes[inbox].turn.end() || more { collect(inbox) }
    }

    // MARK: Commits

    private enum Outcome {
        /// Sent by this gateway or another, or dropped.
        case gone
        /// An older message had to be committed first, which it is by now: collect again.
        case waits
        /// Redis did not execute it.
        case failed
    }

    private static func outcome(_ answer: CommitAnswer) -> Outcome { answer == .notItsTurn ? .waits : .gone }

    private func commit(_ staged: [StagedMessage], inbox: Int) {
        guard !staged.isEmpty else { return finish(inbox, more: false) }
        var left = staged.count
        var outcomes: Set<Outcome> = staged.count == Self.batch ? [.waits] : []
        for message in staged {
            commit(message, inbox: inbox) { outcome in
                outcomes.insert(outcome)
                left -= 1
                // After a failure leave the retry to the next ring or the fallback, so as not to spin.
                if left == 0 { self.finish(inbox, more: !outcomes.contains(.failed) && outcomes.contains(.waits)) }
            }
        }
    }

    private func commit(_ staged: StagedMessage, inbox: Int, _ done: @escaping (Outcome) -> Void) {
        let id = staged.id
        let message: ByteBuffer, groups: [GroupName]
        do {
            let token = try LayerMessage.body(ofInboxMember: staged.bytes, prefixLength: prefixLength)
            let body = try encryption.opened(token)
            compareSettings(with: body, in: token)
            let (bare, channels) = try LayerMessage.withoutChannels(body)
            message = bare
            groups = channels.compactMap { self.group(of: $0, inbox: inbox) }
        } catch {
            return drop(id, inbox: inbox, because: "\(error)", done)
        }
        guard !groups.isEmpty else { return drop(id, inbox: inbox, because: "it names no group of the fleet", done) }
        client.call(functions.relayCommit(id, message, to: groups, inbox: inbox)) { result in
            switch result {
            case .success(let answer):
                if case .committed(let groups) = answer, groups > 0 { self.metrics.relayed.add() }
                done(Self.outcome(answer))
            case .failure(let error) where error.code == .server && !RedisErrorMeaning.isTransient(error):
                self.drop(id, inbox: inbox, because: "\(error)", done)
            case .failure(let error):
                self.complain("a message of the core layer waits in staging", error)
                done(.failed)
            }
        }
    }

    /// Compares the form of a message of Django with the settings: it is the form that its consumers can read.
    private func compareSettings(with body: ByteBuffer, in token: ByteBuffer) {
        if !encryption.isEmpty, body == token {
            delegate?.relayFoundMisfit(
                "redis.encryption_keys are set, and Django's layer does not encrypt: its consumers cannot read what is sent here"
            )
        }
        let isJSON = WireMessage.Format(body.readableBytesUInt8Span) == .json
        if isJSON != (serializer == .json) {
            let other = isJSON ? "json" : "msgpack"
            delegate?.relayFoundMisfit(
                "redis.serializer is \(serializer.rawValue), and Django's layer writes \(other): its consumers cannot read what is sent here. Set redis.serializer: \(other)"
            )
        }
    }

    /// `specific.tocsin-0e!42isInsufficient` → the group.
    private func group(of channel: String, inbox: Int) -> GroupName? {
        let fleet = keys.fleetChannel(inbox)
        guard channel.hasPrefix(fleet) else { return nil }
        return try? GroupName(String(channel.dropFirst(fleet.count)))
    }

    /// Removes a message from staging that can never be read, and counts it.
    private func drop(_ id: String, inbox: Int, because reason: String, _ done: @escaping (Outcome) -> Void) {
        client.call(functions.relayDrop(id, inbox: inbox)) { result in
            guard case .success(let answer) = result else { return done(.failed) }
            if case .committed = answer { self.sayDropped(inbox, because: reason) }
            done(Self.outcome(answer))
        }
    }

    /// Logged and counted only by the gateway that removed the message, not by each that saw it.
    private func sayDropped(_ inbox: Int, because reason: String) {
        metrics.malformedLayer.add()
        guard let held = throttle.pass() else { return }
        logger.warning(
            "dropped a message of the core layer that cannot be relayed",
            metadata: ["reason": "\(reason)", "inbox": "\(keys.inbox(inbox))", "held_back": "\(held)"])
    }

    private func complain(_ what: String, _ error: RedisError) {
        // Errors that affect everything are reported by the link's owner.
        if error.code == .server, RedisErrorMeaning.isTransient(error) { return }
        guard isActive, let held = throttle.pass() else { return }
        logger.warning("\(what)", metadata: ["error": "\(error)", "held_back": "\(held)"])
    }
}

@available(*, unavailable) extension Relay: Sendable {}
