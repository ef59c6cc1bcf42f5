import Broker
import RedisClient

/// Checks whether Redis lets its user do everything that a gateway does, and accepts writes: `FCALL gateway_trial`.
///
/// The answer lists the rights that the user lacks. The call itself is a test too: Redis refuses functions that may write on
/// a replica, when memory is full, when its disk fails, or with too few replicas. Nothing is written.
enum GatewayTrial {
    static func call(_ functions: LayerFunctions, _ configuration: LayerConfiguration) -> FunctionCall<[String]> {
        functions.gatewayTrial(
            presence: configuration.policies.contains(where: \.joinLeave), replicas: configuration.waitReplicas,
            lists: configuration.version == .two)
    }

    /// Converts the answer: nil when no right is missing.
    static func verdict(_ missing: [String], user: String?) -> RedisError? {
        missing.isEmpty ? nil : RedisError(.server, "NOPERM \(words(missing, user: user))")
    }

    /// - Parameter missing: ACL rules, and `no:COMMAND` for a command this Redis lacks.
    static func words(_ missing: [String], user: String?) -> String {
        let commands = missing.filter { $0.hasPrefix("no:") }.map { $0.dropFirst("no:".count) }
        guard commands.isEmpty else {
            return "this Redis has no \(commands.joined(separator: ", ")): a gateway needs it under its name"
        }
        let user = user ?? "default"
        return "the user \(user) lacks rights: ACL SETUSER \(user) \(missing.joined(separator: " "))"
    }

    /// - Throws: `RedisError` when Redis refuses something a gateway needs.
    static func run(
        _ functions: LayerFunctions, _ configuration: LayerConfiguration, by client: RedisClient
    ) async throws {
        let missing = try await client.call(call(functions, configuration))
        if let refusal = verdict(missing, user: configuration.redis.host.user) { throw refusal }
    }
}
