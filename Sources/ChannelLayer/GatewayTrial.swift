import Broker
import RedisClient

/// Whether Redis lets its user do all that a gateway does, and takes writes: `FCALL gateway_trial`.
///
/// Its answer is what the user's rights lack. And calling it is a trial by itself, as Redis refuses functions that may write
/// on a replica, with full memory, with a disk that fails, or with too few replicas. It writes nothing.
enum GatewayTrial {
    static func call(_ functions: LayerFunctions, _ configuration: LayerConfiguration) -> FunctionCall<[String]> {
        functions.gatewayTrial(
            presence: configuration.policies.contains(where: \.joinLeave), replicas: configuration.waitReplicas > 0,
            lists: configuration.version == .two)
    }

    /// What its answer says: nil when nothing is missing.
    static func verdict(_ missing: [String], user: String?) -> RedisError? {
        missing.isEmpty ? nil : RedisError(.server, "NOPERM \(words(missing, user: user))")
    }

    /// - Parameter missing: ACL rules, and `no:COMMAND` for what this Redis does not have.
    static func words(_ missing: [String], user: String?) -> String {
        let commands = missing.filter { $0.hasPrefix("no:") }.map { $0.dropFirst("no:".count) }
        guard commands.isEmpty else {
            return "this Redis has no \(commands.joined(separator: ", ")): a gateway needs it under its name"
        }
        let user = user ?? "default"
        return "the user \(user) lacks rights: ACL SETUSER \(user) \(missing.joined(separator: " "))"
    }

    /// - Throws: `RedisError`: what Redis refuses.
    static func run(
        _ functions: LayerFunctions, _ configuration: LayerConfiguration, by client: RedisClient
    ) async throws {
        let missing = try await client.call(call(functions, configuration))
        if let refusal = verdict(missing, user: configuration.redis.address.user) { throw refusal }
    }
}
