import Broker
import RedisClient

/// Checks of the layer's keys for `tocsin doctor`.
extension LayerInspector {
    /// Keys of a wrong type that functions met within the last hour.
    public func foreignKeys() async throws -> [String] {
        let now = try await client.send(RedisCommand("TIME")).array?.first?.text.flatMap { Int($0) } ?? 0
        return try await client.send(RedisCommand("ZRANGEBYSCORE", keys.foreign, String(now - 3600), "+inf")).array?
            .compactMap(\.text) ?? []
    }

    /// Living gateways whose `groups:` differ from the policies in force.
    public func gatewaysWithOtherPolicies() async throws -> [String] {
        guard let stored = try await client.send(RedisCommand("GET", keys.policy)).text,
            let digest = PolicyDigest.of(stored: stored)
        else { return [] }
        return try await gateways().filter { $0.fields["policies"].map { $0 != digest } ?? false }.map(\.id)
    }

    /// Groups with connections of living gateways, some of them. With commands that a gateway's user may run.
    private func sampleGroups(limit: Int) async throws -> [GroupName] {
        var groups: Set<String> = []
        for gateway in try await gateways() where groups.count < limit {
            let entries = try await client.send(
                RedisCommand("SRANDMEMBER", keys.members(gateway.id), String(limit)))
            groups.formUnion((entries.array ?? []).compactMap { $0.text?.split(separator: " ").first.map(String.init) })
        }
        return groups.sorted().compactMap { try? GroupName($0) }
    }

    /// Some groups with connections of living gateways, and those of them in which the layer would not find the fleet.
    public func sampleFleetMembers(limit: Int) async throws -> (looked: Int, missing: [String]) {
        let groups = try await sampleGroups(limit: limit)
        var missing: [String] = []
        for group in groups {
            let score = try await client.send(RedisCommand("ZSCORE", keys.group(group), keys.fleetMember(of: group)))
            if score.text == nil { missing.append(group.text) }
        }
        return (groups.count, missing)
    }

    /// Some groups with connections of living gateways, and those of them that processes of Django's pub/sub layer listen to as
    /// well. What is published on such a group's channel reaches consumers as it is.
    public func sampleMixedGroups(limit: Int) async throws -> (looked: Int, mixed: [String]) {
        let groups = try await sampleGroups(limit: limit)
        let consumers = try await client.send(RedisCommand("PUBSUB", "CHANNELS", keys.consumerPattern))
        guard consumers.array?.isEmpty == false else { return (groups.count, []) }
        var mixed: [String] = []
        for group in groups {
            let counts = try await client.send(
                RedisCommand("PUBSUB", "NUMSUB", keys.liveChannel(group), keys.gatewaysChannel(group)))
            guard let counts = counts.array, counts.count == 4, let all = counts[1].int, let gateways = counts[3].int
            else { continue }
            if gateways > 0, all > gateways { mixed.append(group.text) }
        }
        return (groups.count, mixed)
    }
}
