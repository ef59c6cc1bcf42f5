import Broker
import RedisClient

/// What `tocsin doctor` looks for in the layer's keys.
extension LayerInspector {
    /// Keys of a wrong type that functions came upon in the last hour.
    public func foreignKeys() async throws -> [String] {
        let now = try await client.send(RedisCommand("TIME")).array?.first?.text.flatMap { Int($0) } ?? 0
        return try await client.send(RedisCommand("ZRANGEBYSCORE", keys.foreign, String(now - 3600), "+inf")).array?
            .compactMap(\.text) ?? []
    }

    /// Messages of `channel_layer.send` for connections of living gateways.
    public func directSends() async throws -> [(inbox: String, count: Int)] {
        var waiting: [(inbox: String, count: Int)] = []
        for gateway in try await gateways() {
            let inbox = keys.gatewayInbox(gateway.id)
            let count = try await client.send(RedisCommand("ZCARD", inbox)).int ?? 0
            if count > 0 { waiting.append((inbox, count)) }
        }
        return waiting
    }

    /// Groups with connections, some of them, and those in which the layer would not find the fleet.
    public func sampleFleetMembers(limit: Int) async throws -> (looked: Int, missing: [String]) {
        var looked = 0
        var missing: [String] = []
        var cursor = "0"
        repeat {
            let reply = try await client.send(
                RedisCommand("SCAN", cursor, "MATCH", keys.rosterPattern, "COUNT", "1000"))
            guard let page = reply.array, page.count == 2, let next = page[0].text else { break }
            for key in (page[1].array ?? []).compactMap(\.text).prefix(limit - looked) {
                guard let group = try? GroupName(String(keys.rosterGroup(key))) else { continue }
                looked += 1
                let score = try await client.send(
                    RedisCommand("ZSCORE", keys.group(group), keys.fleetMember(of: group)))
                if score.text == nil { missing.append(group.text) }
            }
            cursor = next
        } while cursor != "0" && looked < limit
        return (looked, missing)
    }
}
