import Broker
import Logging
import NIOCore
import RedisClient

/// What memberships report to their owner, on the backplane's loop.
protocol MembershipDelegate: AnyObject {
    /// Redis refused a membership because this gateway holds no lease: nobody can join until it is renewed.
    func membershipLeaseIsMissing()
    /// A routine refresh found that so many groups had lost the fleet's member.
    func membershipsVanished(_ count: Int)
    /// A connection joined the group.
    ///
    /// - Parameter position: the group's position at the moment of the join.
    func membershipJoined(_ group: GroupName, at position: Position)
    /// The group's last member on this gateway left.
    func membershipLeft(_ group: GroupName)
}

/// group_add and group_discard: SUBSCRIBE confirmed, then the member in Redis, then the caller is told.
///
/// Lives on the backplane's loop.
final class Membership {
    private typealias Queue = MembershipQueue<EventLoopPromise<GroupEntry>>

    private let configuration: LayerConfiguration
    private let functions: LayerFunctions
    private let client: RedisClient
    private let subscriber: RedisSubscriber
    private let logger: Logger
    private var throttle = LogThrottle()
    private(set) var table = GroupTable()
    private var queue = Queue()
    private var sendIsDue = false
    private var sendLaterIsDue = false
    /// Whether memberships are being written again just because it is time, not after a known loss.
    private var refreshIsRoutine = false
    /// This gateway, with the lease it holds, as passed to the functions.
    var gateway: String
    weak var delegate: (any MembershipDelegate)?
    private var unavailable = BackplaneError(.unavailable, "Redis is not reachable")

    init(
        _ configuration: LayerConfiguration, functions: LayerFunctions, client: RedisClient,
        subscriber: RedisSubscriber, logger: Logger
    ) {
        self.configuration = configuration
        self.functions = functions
        self.client = client
        self.subscriber = subscriber
        self.logger = logger
        gateway = configuration.gatewayID
    }

    private var keys: LayerKeys { functions.keys }

    /// Number of memberships on this gateway: a connection counts once per group.
    var connectionCount: Int { table.memberships }

    func entry(of group: GroupName) -> GroupTable.Entry? { table[keys.liveChannel(group)] }

    func add(_ member: Member, to group: GroupName, outlet: Int, _ promise: EventLoopPromise<GroupEntry>) {
        let channel = keys.liveChannel(group)
        guard !queue.isPaused else { return promise.fail(unavailable) }
        table.add(member, to: group, channel: channel, outlet: outlet)
        let change = Queue.Change(group: group, member: member, waiter: promise)
        if subscriber.isSubscribed(channel) { return write(change) }
        subscriber.subscribe(channel).assumeIsolated().whenComplete { result in
            switch result {
            case .success: self.write(change)
            case .failure(let error):
                promise.fail(BackplaneError(.unavailable, "\(error)"))
            }
        }
    }

    private func write(_ change: Queue.Change) {
        if queue.add(change) { sendSoon() } else { change.waiter?.fail(unavailable) }
    }

    func discard(_ connection: ConnectionID, from group: GroupName, outlet: Int) {
        let channel = keys.liveChannel(group)
        switch table.discard(connection, channel: channel, outlet: outlet) {
        case .notAMember: return
        case .last(let terms):
            subscriber.unsubscribe(channel)
            if terms.tellsPresence { subscriber.unsubscribe(keys.presenceChannel(group)) }
            delegate?.membershipLeft(group)
        case .others: break
        }
        queue.discard(Queue.Departure(group: group, connection: connection))
        sendLater()
    }

    /// Batches departures: nobody waits for them, and they often come in large numbers.
    private func sendLater(in delay: TimeAmount = .milliseconds(10)) {
        guard !sendLaterIsDue else { return }
        sendLaterIsDue = true
        client.eventLoop.assumeIsolated().scheduleTask(in: delay) {
            self.sendLaterIsDue = false
            self.queue.rested()
            self.sendSoon()
        }
    }

    /// Writes all memberships again: periodically, and after a reconnect, a flush, or a sweep of a gateway that slept.
    ///
    /// - Parameter isRoutine: whether this is the periodic refresh.
    func refreshAll(isRoutine: Bool = false) {
        refreshIsRoutine = isRoutine
        queue.refresh(table.all.map { Queue.Change(group: $0.group, member: $0.member, waiter: nil) })
        sendSoon()
    }

    func releaseSlack() { table.releaseSlack() }

    /// Call when Redis is reachable and has the functions.
    func resume() {
        queue.resume()
        refreshAll()
        discardStrangers(from: "0")
    }

    /// Removes entries of connections that this gateway does not have: a promoted replica may lack departures that were
    /// confirmed before. Page by page.
    private func discardStrangers(from cursor: String) {
        let key = keys.members(configuration.gatewayID)
        client.submit(RedisCommand("SSCAN", key, cursor, "COUNT", "1000")).assumeIsolated().whenComplete { result in
            guard case .success(let reply) = result, let page = reply.array, page.count == 2, !self.queue.isPaused
            else { return }
            for entry in (page[1].array ?? []).compactMap(\.text) { self.discardIfStranger(entry) }
            self.sendLater()
            if let next = page[0].text, next != "0" { self.discardStrangers(from: next) }
        }
    }

    /// - Parameter entry: `G specific.GW!CONN`.
    private func discardIfStranger(_ entry: String) {
        let parts = entry.split(separator: " ", maxSplits: 1)
        guard parts.count == 2, let group = try? GroupName(String(parts[0])), let mark = parts[1].lastIndex(of: "!"),
            let connection = ConnectionID(String(parts[1][parts[1].index(after: mark)...])),
            !table.contains(connection, channel: keys.liveChannel(group))
        else { return }
        queue.discard(Queue.Departure(group: group, connection: connection))
    }

    /// - Parameter words: the reason, for joins that fail meanwhile.
    func pause(_ words: String = "Redis is not reachable") {
        unavailable = BackplaneError(.unavailable, words)
        for change in queue.pause() { change.waiter?.fail(unavailable) }
    }

    // MARK: Batches

    private func sendSoon() {
        guard !sendIsDue else { return }
        sendIsDue = true
        client.eventLoop.assumeIsolated().execute {
            self.sendIsDue = false
            self.send()
        }
    }

    private func send() {
        while let batch = queue.nextBatch() {
            switch batch {
            case .add(let changes):
                let current = changes.filter { change in
                    if table.contains(change.member.connection, channel: keys.liveChannel(change.group)) { return true }
                    change.waiter?.fail(BackplaneError(.unavailable, "the connection ended before it had joined"))
                    return false
                }
                if current.isEmpty { queue.finished(.adds) } else { sendAdds(current, isBatch: true) }
            case .discard(let departures):
                let gone = departures.filter { !table.contains($0.connection, channel: keys.liveChannel($0.group)) }
                if gone.isEmpty { queue.finished(.discards) } else { sendDiscards(gone) }
            }
        }
    }

    private func sendAdds(_ changes: [Queue.Change], isBatch: Bool, isSecondTry: Bool = false) {
        let call = functions.groupAdd(
            changes.lazy.map { ($0.group, $0.member) }, gateway: configuration.gatewayID, lease: gateway,
            expiry: configuration.groupExpiry)
        client.call(call) { result in
            if case .failure(let error) = result, RedisErrorMeaning.isLeaseMissing(error), !isSecondTry {
                // The process slept past its lease, and the next renewal may be seconds away.
                self.delegate?.membershipLeaseIsMissing()
                return self.sendAdds(changes, isBatch: isBatch, isSecondTry: true)
            }
            if isBatch { self.queue.finished(.adds) }
            switch result {
            case .success(let answer):
                if self.refreshIsRoutine, answer.restored > 0 { self.delegate?.membershipsVanished(answer.restored) }
                for (change, join) in zip(changes, answer.joins) { self.joined(change, join) }
            case .failure(let error) where changes.count > 1 && RedisErrorMeaning.told(error).code == .refused:
                // One group with a key of a wrong type must not fail the joins of the others.
                for change in changes { self.sendAdds([change], isBatch: false) }
            case .failure(let error):
                self.failed("group_add", error, changes.first?.group)
                let told = RedisErrorMeaning.told(error)
                for change in changes { change.waiter?.fail(told) }
            }
            self.sendSoon()
        }
    }

    /// Call when Redis has the member. The join completes once the group's presence channel is subscribed, so that the client
    /// misses no later join or leave.
    private func joined(_ change: Queue.Change, _ join: GroupJoin) {
        func succeed() {
            change.waiter?.succeed(GroupEntry(position: join.position, tracking: join.terms.tracking))
        }
        // After a refresh, or when the connection has ended, the group may have no member left.
        guard let before = table.learn(join.terms, channel: keys.liveChannel(change.group)) else { return succeed() }
        if change.waiter != nil { delegate?.membershipJoined(change.group, at: join.position) }
        guard join.terms.tellsPresence else {
            if before.tellsPresence { subscriber.unsubscribe(keys.presenceChannel(change.group)) }
            return succeed()
        }
        let presence = keys.presenceChannel(change.group)
        if subscriber.isSubscribed(presence) { return succeed() }
        subscriber.subscribe(presence).assumeIsolated().whenComplete { result in
            switch result {
            case .success: succeed()
            case .failure(let error): change.waiter?.fail(BackplaneError(.unavailable, "\(error)"))
            }
        }
    }

    private func sendDiscards(_ departures: [Queue.Departure]) {
        let call = functions.groupDiscard(
            departures.lazy.map { ($0.group, $0.connection) }, gateway: configuration.gatewayID, lease: gateway)
        client.call(call) { result in
            if case .failure(let error) = result {
                self.failed("group_discard", error, departures.first?.group)
                self.queue.owe(departures)
                if RedisErrorMeaning.isLeaseMissing(error) { self.delegate?.membershipLeaseIsMissing() }
                // What the server refuses (a demoted one, one without rights for us) it may refuse for long.
                self.sendLater(in: error.code == .server ? .seconds(1) : .milliseconds(10))
            } else {
                self.queue.finished(.discards)
                self.sendSoon()
            }
        }
    }

    private func failed(_ function: String, _ error: RedisError, _ group: GroupName?) {
        guard error.code == .unexpectedAnswer || error.code == .server, !RedisErrorMeaning.isTransient(error),
            let held = throttle.pass()
        else { return }
        logger.error(
            "\(function) failed",
            metadata: ["error": "\(error)", "group": "\(group?.text ?? "")", "held_back": "\(held)"])
    }
}

@available(*, unavailable) extension Membership: Sendable {}
