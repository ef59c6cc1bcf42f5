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

    /// Groups with connections of living gateways, some of them, and those in which the layer would not find the fleet. With
    /// commands that a gateway's user may run.
    public func sampleFleetMembers(limit: Int) async throws -> (looked: Int, missing: [String]) {
        var groups: Set<String> = []
        for gateway in try await gateways() where groups.count < limit {
            let entries = try await client.send(
                RedisCommand("SRANDMEMBER", keys.members(gateway.id), String(limit)))
            groups.formUnion((entries.array ?? []).compactMap { $0.text?.split(separator: " ").first.map(String.init) })
        }
        var missing: [String] = []
        for text in groups.sorted() {
            guard let group = try? GroupName(text) else { continue }
            let score = try await client.send(RedisCommand("ZSCORE", keys.group(group), keys.fleetMember(of: group)))
            if score.text == nil { missing.append(text) }
        }
        return (groups.count, missing)
    }
}
