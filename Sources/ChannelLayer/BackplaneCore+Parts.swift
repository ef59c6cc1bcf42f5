import Broker
import Logging
import NIOCore
import RedisClient

/// What the parts report, and what it means to the others.
extension BackplaneCore: GatewayLeaseDelegate {
    func leaseRenewed(living: [String], policies: Int) {
        relay.living = living
        outgoing.living = living
        due.living = living
        policiesInForce(policies)
    }

    func leaseForgotten() {
        logger.notice("Redis has forgotten this gateway: writing the policies and all memberships again")
        client.call(policiesCall) { if case .success(let answer) = $0 { self.policiesWritten(answer) } }
        membership.refreshAll()
        // Meanwhile the fleet had no member in groups that are not logged, so Django's messages to them are lost.
        feed.mayHaveMissedUnlogged()
        feed.doubtAll()
    }

    func leaseRefreshIsDue() { membership.refreshAll(isRoutine: true) }

    func leaseTaken(by other: NameHolder) { nameTaken(by: other) }

    func leaseFoundForeign(_ keys: [String]) { neighbours.foreign(keys) }

    func leaseAnswered(_ error: RedisError?) { renewed(error) }

    var leaseFields: [(String, String)] {
        [
            ("connections", String(membership.connectionCount)), ("groups", String(membership.table.count)),
            ("policies", policiesDigest),
        ]
    }
}

extension BackplaneCore: MembershipDelegate {
    func membershipLeaseIsMissing() { lease.renew() }

    func membershipsVanished(_ count: Int) { neighbours.vanished(count, expiry: configuration.groupExpiry) }

    func membershipJoined(_ group: GroupName, at position: Position) { feed.joined(group, at: position) }

    func membershipLeft(_ group: GroupName) { feed.left(group) }
}

extension BackplaneCore: RelayDelegate {
    func relayFoundForeign(_ key: String) { neighbours.foreign([key]) }

    func relayFoundMisfit(_ words: String) { neighbours.misfit(words) }
}

extension BackplaneCore: ConnectionInboxDelegate {
    func inboxReceived(_ json: ByteBuffer, for connection: ConnectionID) {
        metrics.direct.add()
        feed.everywhere(.direct(connection, json))
        feed.flush()
    }
}

extension BackplaneCore: DoorbellDelegate {
    func doorbellChecksInboxes() {
        relay.checkInboxes()
        connections.check()
    }
}

extension BackplaneCore: LayerClockDelegate {
    /// Seconds for which a quiet group may have moved without this gateway's knowledge.
    private static let quietSeconds = 10

    /// Seconds between two looks for layers that no gateway reads, and until the first one.
    private static let surveySeconds = 600
    private static let firstSurvey = 5

    func clockTicked(_ seconds: Int) {
        relay.collectAll()
        connections.check()
        outgoing.collect()
        due.tick()
        lease.sweep()
        membership.releaseSlack()
        feed.releaseSlack()
        subscriber.releaseSlack()
        if seconds % Self.quietSeconds == 0, health.isLive { feed.doubtQuiet() }
        if seconds % Self.surveySeconds == Self.firstSurvey, health.commands == .serving { survey() }
    }

    /// One gateway of the fleet looks, and says what to set. A user who may not list keys is none to be told.
    private func survey() {
        guard Rendezvous.rank(of: configuration.gatewayID, for: "survey", among: relay.living) == 0 else { return }
        let (keys, redis, loop) = (keys, configuration.redis, eventLoop)
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        Task {
            let quiet = Logger(label: "tocsin") { _ in SwiftLogNoOpLogHandler() }
            guard let strangers = try? await LayerSurvey.strangers(to: keys, redis, on: loop, logger: quiet) else {
                return
            }
            loop.execute { bound.value.neighbours.strangers(strangers, beside: keys) }
        }
    }

    /// Messages that waited in the socket while the process slept may have expired, so the log is read first.
    func clockWoke() { if health.isLive { feed.doubtAll() } }
}
