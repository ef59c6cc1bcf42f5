import Broker
import ChannelLayer
import Escalation
import Logging
import NIOCore
import Operations
import RedisClient
import Synchronization

/// Fleet operations on Redis. The admin port opens before Redis is dialled; until then every answer is "unavailable".
final class LayerAdministration: Administration {
    private let inspector = Mutex<ShardedInspector?>(nil)

    private let waitReplicas: ReplicaQuorum
    private let logger: Logger
    let outbound: OutboundPolicy

    /// - Parameters:
    ///   - waitReplicas: the replicas that must acknowledge a message before it counts as accepted.
    ///   - outbound: which addresses a push subscription may name.
    init(waitReplicas: ReplicaQuorum, outbound: OutboundPolicy = OutboundPolicy(), logger: Logger) {
        self.waitReplicas = waitReplicas
        self.outbound = outbound
        self.logger = logger
    }

    func use(_ inspector: ShardedInspector) { self.inspector.withLock { $0 = inspector } }

    func end(_ selection: ConnectionSelection) async throws(BackplaneError) -> BroadcastReceipt {
        try await ask { BroadcastReceipt(gateways: try await $0.end(selection), living: try await $0.gateways().count) }
    }

    func send(
        _ message: ByteBuffer, to group: GroupName, _ options: SendOptions
    ) async throws(BackplaneError) -> SendAnswer {
        try await ask {
            try await $0.send(message, to: group, options, waitReplicas: waitReplicas, logger: logger)
        }
    }

    func channelSend(_ message: ByteBuffer, to channel: ChannelName) async throws(BackplaneError) -> Bool {
        try await ask { try await $0.channelSend(message, to: channel, logger: logger) }
    }

    func history(of group: GroupName, since: Position?) async throws(BackplaneError) -> HistoryPage {
        try await ask { try await $0.historyPage(of: group, since: since) }
    }

    func members(_ group: GroupName) async throws(BackplaneError) -> [FleetMember] {
        try await ask { try await $0.who(in: group) }.map { connection in
            let roster = try? JSONFields(ByteBuffer(string: connection.json))
            return FleetMember(
                channel: connection.channel, user: roster?.string("user"), gateway: roster?.string("gateway") ?? "",
                since: roster?.number("since").flatMap(Double.init).flatMap { Int(exactly: $0.rounded(.down)) } ?? 0,
                info: roster?.raw("info"))
        }
    }

    func gateways() async throws(BackplaneError) -> [FleetGateway] {
        try await ask { try await $0.gateways() }.map { FleetGateway(id: $0.id, fields: $0.fields) }
    }

    func ask<R: Sendable>(
        _ question: @Sendable (ShardedInspector) async throws -> R
    ) async throws(BackplaneError) -> R {
        guard let inspector = inspector.withLock({ $0 }) else { throw BackplaneError(.unavailable, "starting") }
        do {
            return try await question(inspector)
        } catch {
            throw LayerInspector.told(error)
        }
    }
}
