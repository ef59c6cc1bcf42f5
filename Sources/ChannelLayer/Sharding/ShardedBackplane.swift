public import Broker
public import Logging
public import NIOCore
import RedisClient
import Synchronization

/// The backplane on the Redis servers of `redis.hosts`, one or several: a `RedisBackplane` for each, chosen by the group.
///
/// A thread-safe facade, like its parts.
public final class ShardedBackplane: Backplane {
    private let router: ShardRouter<RedisBackplane>

    /// Starts to connect, without waiting for Redis.
    ///
    /// - Parameters:
    ///   - configurations: one for each server, in the ring's order.
    ///   - onReadiness: called with why the gateway is not ready (empty: it is) and what does not work although it is, each time
    ///     one of them changes.
    ///   - onNameTaken: as `RedisBackplane.start`.
    public static func start(
        _ configurations: [LayerConfiguration], on eventLoop: any EventLoop, metrics: Metrics, logger: Logger,
        onReadiness: @escaping @Sendable (_ reasons: [String], _ remarks: [String]) -> Void,
        onNameTaken: @escaping @Sendable (String) -> Void = { _ in }
    ) async throws -> ShardedBackplane {
        let readiness = ReadinessBox(ShardReadiness(names: configurations.map { "\($0.redis.host)" }))
        let layerMetrics = LayerMetrics.ofShards(configurations.count, metrics)
        var shards: [RedisBackplane] = []
        for (index, configuration) in configurations.enumerated() {
            var logger = logger
            if configurations.count > 1 { logger[metadataKey: "redis.shard"] = "\(index)" }
            shards.append(
                try await RedisBackplane.start(
                    configuration, on: eventLoop, metrics: layerMetrics[index], logger: logger,
                    onReadiness: { reasons in
                        let verdict = readiness.set(reasons, of: index)
                        onReadiness(verdict.reasons, verdict.remarks)
                    }, onNameTaken: onNameTaken))
        }
        return ShardedBackplane(ShardRouter(shards))
    }

    private final class ReadinessBox: Sendable {
        private let value: Mutex<ShardReadiness>
        init(_ value: ShardReadiness) { self.value = Mutex(value) }
        func set(_ reasons: [String], of shard: Int) -> ShardReadiness.Verdict {
            value.withLock { $0.set(reasons, of: shard) }
        }
    }

    private init(_ router: ShardRouter<RedisBackplane>) { self.router = router }

    /// The deliveries of escalations, on each server.
    public var escalationTasks: ShardRouter<EscalationTasks> { router.map(\.escalationTasks) }

    /// Calls `work`, on the backplane's loop, when messages were escalated.
    public func onEscalation(_ work: @escaping @Sendable () -> Void) {
        for shard in router.shards { shard.onEscalation(work) }
    }

    /// For operators' requests, over the backplane's own connections.
    public var inspector: ShardedInspector { ShardedInspector(router.map(\.inspector)) }

    public func attach(_ outlets: [any Outlet]) { for shard in router.shards { shard.attach(outlets) } }

    public func groupAdd(_ member: Member, to group: GroupName, outlet: Int) -> EventLoopFuture<GroupEntry> {
        router[group].groupAdd(member, to: group, outlet: outlet)
    }

    public func position(of group: GroupName) -> EventLoopFuture<Position> { router[group].position(of: group) }

    public func groupDiscard(_ connection: ConnectionID, from group: GroupName, outlet: Int) {
        router[group].groupDiscard(connection, from: group, outlet: outlet)
    }

    public func read(
        _ group: GroupName, since: Position?, bytes: Int, _ ticket: ReadTicket
    ) -> EventLoopFuture<HistoryPage> {
        router[group].read(group, since: since, bytes: bytes, ticket)
    }

    /// A ticket may have been used for groups of several servers.
    public func giveUp(_ ticket: ReadTicket) { for shard in router.shards { shard.giveUp(ticket) } }

    public func presence(_ group: GroupName) -> EventLoopFuture<[PresenceEntry]> { router[group].presence(group) }

    public func groupSend(_ message: ByteBuffer, to group: GroupName) -> EventLoopFuture<Receipt> {
        router[group].groupSend(message, to: group)
    }

    public func channelSend(_ message: ByteBuffer, to channel: ChannelName) -> EventLoopFuture<Bool> {
        router[channel].channelSend(message, to: channel)
    }

    public func confirm(_ confirmation: Confirmation) { router[confirmation.group].confirm(confirmation) }

    public func mark(_ mark: ReadMark, in group: GroupName, user: String?) -> EventLoopFuture<InboxState> {
        router[group].mark(mark, in: group, user: user)
    }

    public func inbox(
        of group: GroupName, user: String?, before: Position?, limit: Int
    ) -> EventLoopFuture<InboxPage> {
        router[group].inbox(of: group, user: user, before: before, limit: limit)
    }

    /// The same on all servers: the gateway reads its inbox on each.
    public func channelName(of connection: ConnectionID) -> String { router.shards[0].channelName(of: connection) }

    /// Leaves the fleet on all servers.
    public func stop() async {
        await withTaskGroup(of: Void.self) { group in
            for shard in router.shards { group.addTask { await shard.stop() } }
        }
    }
}
