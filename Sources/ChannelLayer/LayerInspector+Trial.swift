public import Broker
import NIOCore
public import RedisClient

/// Why Redis refuses writes, and the remedy where it is known.
public struct WriteRefusal: Sendable {
    public var words: String
    public var remedy: String?

    init(_ error: RedisError) {
        words = RedisErrorMeaning.words(error)
        remedy =
            switch error.kind {
            case "READONLY", "MASTERDOWN": "This is a replica: let redis.hosts lead to the primary"
            case "MISCONF":
                "Redis' log says why its disk cannot be written; CONFIG SET stop-writes-on-bgsave-error no takes the risk"
            case "OOM": "Raise maxmemory, or keep less history (groups: size, ttl)"
            case "NOREPLICAS": "Fewer replicas are there than min-replicas-to-write wants"
            default: nil
            }
    }
}

/// Tests of a gateway's work that leave no trace, for `tocsin doctor`.
extension LayerInspector {
    /// Why writes are refused; nil: they are accepted. Writes nothing, because the key never exists.
    public func writeRefusal() async -> WriteRefusal? {
        await refusal(of: RedisCommand("SET", keys.trial, "", "XX")).map(WriteRefusal.init)
    }

    /// Why the function library cannot be loaded; nil: it can be. Sends code that Redis rejects only after checking the right,
    /// so nothing is loaded.
    public func loadingRefusal() async -> RedisError? {
        guard let error = await refusal(of: RedisCommand("FUNCTION", "LOAD", "no library")) else { return nil }
        return error.message.hasPrefix("ERR Missing library meta") ? nil : error
    }

    private func refusal(of command: RedisCommand) async -> RedisError? {
        do {
            _ = try await client.send(command)
            return nil
        } catch {
            return RedisError(error)
        }
    }

    /// The ACL rules that a gateway's user lacks; nil when the functions are not loaded, or writes are refused.
    ///
    /// - Parameters:
    ///   - presence: joins and leaves are published.
    ///   - replicas: those whose acknowledgements are waited for.
    ///   - workers: general channels that clients' messages are forwarded to.
    /// - Throws: `RedisError`.
    public func missingRights(presence: Bool, replicas: ReplicaQuorum, workers: [ChannelName] = []) async throws
        -> [String]?
    {
        do {
            return try await client.call(
                functions.gatewayTrial(presence: presence, replicas: replicas, workers: workers))
        } catch let error as RedisError where error.kind == "NOPERM" {
            return ["+fcall"]
        } catch let error as RedisError where RedisErrorMeaning.isTransient(error) {
            return nil
        }
    }

    /// Describes the missing rights, with the Redis command that grants them.
    public static func words(missing: [String], user: String?) -> String { GatewayTrial.words(missing, user: user) }

    /// The missing ACL rules for the channels that a gateway subscribes to. Leaves the connection in subscribe mode.
    ///
    /// - Throws: `RedisError`.
    public func missingSubscriptions(presence: Bool) async throws -> [String] {
        var missing: [String] = []
        for (channel, pattern) in keys.channelFamilies(presence: presence) {
            do {
                _ = try await client.send(RedisCommand("SUBSCRIBE", channel))
            } catch let error as RedisError where error.kind == "NOPERM" {
                if error.message.contains("'subscribe'") { return ["+subscribe"] }
                missing.append(pattern)
            }
        }
        return missing
    }
}
