public import Broker
import Logging
public import NIOCore
import RedisClient

/// The backplane on one Redis, compatible with channels_redis.
///
/// A thread-safe facade; `BackplaneCore` does the work on one event loop.
public final class RedisBackplane: Backplane {
    private let eventLoop: any EventLoop
    private let core: NIOLoopBound<BackplaneCore>
    private let client: RedisClient
    /// Connection for messages: waiting for replicas delays everything that shares a connection.
    private let sender: RedisClient
    private let waitReplicas: ReplicaQuorum
    private let functions: LayerFunctions
    private let gatewayID: String
    private let sent: Counter

    /// Starts to connect, without waiting for Redis. `onReadiness` is called each time the reasons change why the backplane
    /// cannot deliver and accept messages; empty: it can. `onNameTaken` is called with a text for the operator when another
    /// process has the gateway's name: nothing is written under it from then on, and the gateway has to stop.
    static func start(
        _ configuration: LayerConfiguration, on eventLoop: any EventLoop, metrics: LayerMetrics,
        logger: Logger,
        onReadiness: @escaping @Sendable (_ reasons: [String]) -> Void,
        onNameTaken: @escaping @Sendable (String) -> Void = { _ in }
    ) async throws -> RedisBackplane {
        let keys = LayerKeys(
            prefix: configuration.prefix, database: configuration.redis.host.database, shard: configuration.shard)
        let owner = NIOLoopBoundBox<BackplaneCore?>.makeEmptyBox(valueType: BackplaneCore.self, eventLoop: eventLoop)
        let client = try await RedisClient.start(
            configuration.redis, on: eventLoop, logger: logger, confirmation: .owner
        ) { event in owner.value?.commands(event) }
        let sender =
            configuration.waitReplicas == .zero
            ? client
            : try await RedisClient.start(configuration.redis, on: eventLoop, logger: logger) { event in
                owner.value?.messages(event)
            }
        return try await eventLoop.submit {
            let core = BackplaneCore(
                configuration, keys: keys, client: client, eventLoop: eventLoop, metrics: metrics, logger: logger,
                onReadiness: onReadiness, onNameTaken: onNameTaken)
            if sender !== client {
                core.onMoved = { sender.reconnect(RedisError(.unavailable, "commands go to another server now")) }
            }
            owner.value = core
            core.commands(client.isUp ? .up : .missed(client.lastError))
            return RedisBackplane(
                core, client: client, sender: sender, waitReplicas: configuration.waitReplicas,
                functions: LayerFunctions(keys: keys), gatewayID: configuration.gatewayID, sent: metrics.sent,
                eventLoop: eventLoop)
        }.get()
    }

    private init(
        _ core: BackplaneCore, client: RedisClient, sender: RedisClient, waitReplicas: ReplicaQuorum,
        functions: LayerFunctions, gatewayID: String, sent: Counter, eventLoop: any EventLoop
    ) {
        self.sender = sender
        self.waitReplicas = waitReplicas
        self.core = NIOLoopBound(core, eventLoop: eventLoop)
        self.client = client
        self.functions = functions
        self.gatewayID = gatewayID
        self.sent = sent
        self.eventLoop = eventLoop
    }

    /// For operators' requests, over the backplane's own connection.
    public var inspector: LayerInspector { LayerInspector(client: sender, keys: functions.keys) }

    public func attach(_ outlets: [any Outlet]) {
        eventLoop.execute { self.core.value.attach(outlets) }
    }

    public func groupAdd(_ member: Member, to group: GroupName, outlet: Int) -> EventLoopFuture<GroupEntry> {
        let promise = eventLoop.makePromise(of: GroupEntry.self)
        onLoop { core in
            core.membership.add(member, to: group, outlet: outlet, promise)
            promise.futureResult.assumeIsolated().whenFailure { _ in
                core.membership.discard(member.connection, from: group, outlet: outlet)
            }
        }
        return promise.futureResult
    }

    public func position(of group: GroupName) -> EventLoopFuture<Position> {
        client.call(functions.groupPosition(of: group)).flatMapErrorThrowing { throw RedisErrorMeaning.told($0) }
    }

    public func groupDiscard(_ connection: ConnectionID, from group: GroupName, outlet: Int) {
        onLoop { $0.membership.discard(connection, from: group, outlet: outlet) }
    }

    public func read(
        _ group: GroupName, since: Position?, bytes: Int, _ ticket: ReadTicket
    ) -> EventLoopFuture<HistoryPage> {
        let promise = eventLoop.makePromise(of: HistoryPage.self)
        onLoop { $0.reader.read(ReadPlace(group: group, since: since), bytes: bytes, in: .cursors, ticket, promise) }
        return promise.futureResult
    }

    public func giveUp(_ ticket: ReadTicket) {
        ticket.end()
        onLoop { $0.reader.giveUp(ticket) }
    }

    public func presence(_ group: GroupName) -> EventLoopFuture<[PresenceEntry]> {
        client.submit(RedisCommand("HGETALL", functions.keys.roster(group))).map { reply in
            reply.pairs.map { channel, json in
                PresenceEntry(channel: channel, roster: try? JSONFields(ByteBuffer(string: json)))
            }.sorted { $0.connection < $1.connection }
        }.flatMapErrorThrowing { throw RedisErrorMeaning.told($0) }
    }

    public func groupSend(_ message: ByteBuffer, to group: GroupName) -> EventLoopFuture<Receipt> {
        sender.call(functions.groupSend(message, to: group), waitingFor: waitReplicas).flatMapThrowing { answer in
            guard case .sent(let receipt) = answer else {
                throw RedisError(.unexpectedAnswer, "group_send scheduled a message that was to be sent at once")
            }
            self.sent.add()
            return receipt
        }.flatMapErrorThrowing { throw RedisErrorMeaning.told($0) }
    }

    public func channelSend(_ message: ByteBuffer, to channel: ChannelName) -> EventLoopFuture<Bool> {
        client.call(functions.channelSend(message, to: channel)).map { $0 > 0 }
            .flatMapErrorThrowing { throw RedisErrorMeaning.told($0) }
    }

    public func confirm(_ confirmation: Confirmation) { onLoop { $0.receipts.confirm(confirmation) } }

    public func mark(_ mark: ReadMark, in group: GroupName, user: String?) -> EventLoopFuture<InboxState> {
        client.call(functions.markRead(mark, in: group, user: user))
            .flatMapErrorThrowing { throw RedisErrorMeaning.told($0) }
    }

    public func inbox(
        of group: GroupName, user: String?, before: Position?, limit: Int
    ) -> EventLoopFuture<InboxPage> {
        client.call(functions.inbox(of: group, user: user, before: before, limit: limit))
            .flatMapErrorThrowing { throw RedisErrorMeaning.told($0) }
    }

    /// The deliveries of escalations that wait in this Redis.
    var escalationTasks: EscalationTasks { EscalationTasks(client: client, functions: functions) }

    /// Calls `work`, on the backplane's loop, when messages were escalated.
    func onEscalation(_ work: @escaping @Sendable () -> Void) { onLoop { $0.due.onEscalation = work } }

    public func channelName(of connection: ConnectionID) -> String {
        functions.keys.channelName(gateway: gatewayID, connection: connection)
    }

    /// Leaves the fleet: the other gateways sweep the rest of this one immediately.
    public func stop() async {
        let preparation = try? await eventLoop.submit { self.core.value.end() }.get()
        await preparation?.value
        let released = eventLoop.flatSubmit { self.core.value.release() }
        _ = try? await released.get()
        try? await eventLoop.submit { self.core.value.stop() }.get()
        await client.close()
        if sender !== client { await sender.close() }
    }

    private func onLoop(_ work: @escaping @Sendable (BackplaneCore) -> Void) {
        if eventLoop.inEventLoop { work(core.value) } else { eventLoop.execute { work(self.core.value) } }
    }
}
