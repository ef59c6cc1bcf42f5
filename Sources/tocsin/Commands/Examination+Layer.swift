import Broker
import ChannelLayer
import NIOPosix
import RedisClient

/// Checks for problems in the layer's keys: keys of others under our names, Django messages that nobody reads, members that
/// were removed.
extension Examination {
    func layer() async -> [Finding] {
        [
            await checked("policies") { try await policies() },
            await checked("key types") { try await foreignKeys() },
            await checked("fleet's members") { try await fleetMembers() },
            await checked("Django's layer") { try await djangoLayer() },
            await checked("mixed groups") { try await mixedGroups() },
        ]
    }

    /// A missing right is not a problem here: a gateway's own user need not be able to read all of this.
    private func checked(_ check: String, _ body: () async throws -> Finding) async -> Finding {
        await finding(check) {
            do {
                return try await body()
            } catch let error as RedisError where error.kind == "NOPERM" {
                return Finding(check: check, verdict: .warning, detail: "this Redis user may not look: ask as operator")
            }
        }
    }

    /// All gateways follow the policies in Redis, set by the last gateway that started with different ones.
    private func policies() async throws -> Finding {
        let others = try await inspector.gatewaysWithOtherPolicies()
        return others.isEmpty
            ? Finding(check: "policies", verdict: .fine, detail: "all gateways have the groups: that are in force")
            : Finding(
                check: "policies", verdict: .warning,
                detail: "\(others.joined(separator: ", ")): configured with other groups: than are in force. "
                    + "Give all gateways the same groups:")
    }

    /// Whether Django uses a layer of this Redis that the gateways do not read.
    private func djangoLayer() async throws -> Finding {
        let keys = configuration.keys(shard: shard)
        let strangers = try await LayerSurvey.strangers(
            to: keys, configuration.redisConfiguration(configuration.redis.hosts[shard], clientName: "tocsin-command"),
            on: MultiThreadedEventLoopGroup.singleton.any(), logger: Self.silent)
        return strangers.isEmpty
            ? Finding(
                check: "Django's layer", verdict: .fine,
                detail: "no other database or prefix of this Redis has one; --django tries your site's own")
            : Finding(
                check: "Django's layer", verdict: .warning,
                detail: strangers.map { $0.words(beside: keys) }.joined(separator: ". "))
    }

    /// Groups of gateways and of Django's pub/sub layer: `FCALL group_send` sends each what it reads, `PUBLISH` does not.
    private func mixedGroups() async throws -> Finding {
        let sample = try await inspector.sampleMixedGroups(limit: 100)
        guard let example = sample.mixed.first.flatMap({ try? GroupName($0) }) else {
            return Finding(
                check: "mixed groups", verdict: .fine,
                detail: "Django's pub/sub layer listens in none of \(sample.looked) groups that were looked at")
        }
        let keys = configuration.keys(shard: shard)
        return Finding(
            check: "mixed groups", verdict: .warning,
            detail:
                "Django's pub/sub layer listens in \(sample.mixed.count) of \(sample.looked) groups, too. A bare PUBLISH "
                + "\(keys.liveChannel(example)) of JSON, from redis-cli for example, ends its consumers: send with FCALL "
                + "group_send 1 \(keys.group(example)), which sends each side what it reads")
    }

    /// Keys that functions met and could not use, if they still have the wrong type.
    private func foreignKeys() async throws -> Finding {
        let foreign = try await inspector.foreignKeys()
        return foreign.isEmpty
            ? Finding(check: "key types", verdict: .fine, detail: "no function was stopped by a key of another type")
            : Finding(
                check: "key types", verdict: .wrong,
                detail: "\(foreign.prefix(5).joined(separator: ", "))\(foreign.count > 5 ? ", …" : ""): somebody "
                    + "else's keys under our names, in the way in the last hour. Delete or rename them")
    }

    /// The layer's `group_send` takes members out that are older than its own `group_expiry`.
    private func fleetMembers() async throws -> Finding {
        let sample = try await inspector.sampleFleetMembers(limit: 100)
        return sample.missing.isEmpty
            ? Finding(
                check: "fleet's members", verdict: .fine,
                detail: "there in \(sample.looked) of \(sample.looked) groups that were looked at")
            : Finding(
                check: "fleet's members", verdict: .wrong,
                detail:
                    "missing in \(sample.missing.count) of \(sample.looked) groups (\(sample.missing[0])): Django's "
                    + "core layer does not reach them. Is its group_expiry shorter than redis.group_expiry "
                    + "(\(configuration.redis.groupExpiry))? Set both alike")
    }
}
