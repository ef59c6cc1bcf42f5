public import Broker
public import Logging
public import NIOCore
public import RedisClient

/// Operators' queries and commands over all Redis servers of `redis.hosts`.
///
/// What is about one group, or one channel, fails when its server is away. What is about the fleet is answered by those servers
/// that are there, and fails when none is.
public struct ShardedInspector: Sendable {
    public let router: ShardRouter<LayerInspector>

    public init(_ router: ShardRouter<LayerInspector>) { self.router = router }

    public func who(in group: GroupName) async throws -> [LayerInspector.Connection] {
        try await router[group].who(in: group)
    }

    /// Scans all rosters: only for operators, never on the message path.
    public func whoAnywhere() async throws -> [LayerInspector.Connection] {
        try await everywhere { try await $0.whoAnywhere() }.flatMap { $0 }
            .sorted { ($0.group, $0.channel) < ($1.group, $1.channel) }
    }

    /// Living gateways. A gateway has groups and connections on each server: groups are added up; of connections, which may be in
    /// groups of several servers, the largest number is shown.
    public func gateways() async throws -> [LayerInspector.Gateway] {
        var found: [String: LayerInspector.Gateway] = [:]
        for gateway in try await everywhere({ try await $0.gateways() }).flatMap({ $0 }) {
            guard var known = found[gateway.id] else {
                found[gateway.id] = gateway
                continue
            }
            func number(_ field: String, _ fields: [String: String]) -> Int { fields[field].flatMap(Int.init) ?? 0 }
            let groups = number("groups", known.fields) + number("groups", gateway.fields)
            let connections = max(number("connections", known.fields), number("connections", gateway.fields))
            known.fields["groups"] = String(groups)
            known.fields["connections"] = String(connections)
            found[gateway.id] = known
        }
        return found.values.sorted { $0.id < $1.id }
    }

    public func historyPage(of group: GroupName, since: Position?) async throws -> HistoryPage {
        try await router[group].historyPage(of: group, since: since)
    }

    public func history(of group: GroupName, since: Position?) async throws -> LayerInspector.History {
        try await router[group].history(of: group, since: since)
    }

    /// As `LayerInspector.send`.
    public func send(
        _ message: ByteBuffer, to group: GroupName, _ options: SendOptions = SendOptions(),
        waitReplicas: ReplicaQuorum = .zero,
        logger: Logger
    ) async throws -> SendAnswer {
        try await router[group].send(message, to: group, options, waitReplicas: waitReplicas, logger: logger)
    }

    /// As `LayerInspector.channelSend`.
    public func channelSend(_ message: ByteBuffer, to channel: ChannelName, logger: Logger) async throws -> Bool {
        try await router[channel].channelSend(message, to: channel, logger: logger)
    }

    /// Tells every gateway to end connections, over every server: telling one twice does no harm.
    ///
    /// - Returns: how many gateways received it: the largest number of any server.
    public func end(_ selection: ConnectionSelection) async throws -> Int {
        try await everywhere { try await $0.end(selection) }.max() ?? 0
    }

    private func everywhere<Answer: Sendable>(
        _ question: @Sendable (LayerInspector) async throws -> Answer
    ) async throws -> [Answer] {
        var answers: [Answer] = [], failure: (any Error)?
        for shard in router.shards {
            do { answers.append(try await question(shard)) } catch { failure = error }
        }
        if answers.isEmpty, let failure { throw failure }
        return answers
    }
}
