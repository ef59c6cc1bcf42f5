import Broker
import NIOCore
import RedisClient
import TestSupport
import Testing

@testable import ChannelLayer

/// Effects of other users of a shared Redis.
struct OthersAtWorkTests {
    /// Kills the command connection and waits until another one is in use.
    private func reconnect(_ house: LayerHouse, _ cli: Cli) async throws {
        let before = house.metric("tocsin_redis_losses_total") ?? 0
        try await cli("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        try await waitUntil("the loss to be counted") { (house.metric("tocsin_redis_losses_total") ?? 0) > before }
        try await house.ready()
    }

    @Test func `A doorbell that somebody switched off is noticed, and set again`() async throws {
        try await LayerHouse.onServer { _, house, cli in
            try await waitUntil("the bell to be heard") { house.metric("tocsin_doorbell_heard") == 1 }
            try await cli("CONFIG", "SET", "notify-keyspace-events", "")
            try await waitUntil("the bell to be set again") {
                (try? await cli("CONFIG", "GET", "notify-keyspace-events").pairs.first?.1.contains("z")) == true
            }
            try await waitUntil("the bell to be heard again") { house.metric("tocsin_doorbell_heard") == 1 }
        }
    }

    @Test func `Policies that another gateway has set since are left alone by a reconnect`() async throws {
        try await LayerHouse.onServer({ $0.policies = [GroupPolicy(match: "*", historySize: 0, historyTTL: 60)] }) {
            _, house, cli in
            let newer = #"[{"match":"*","size":1000,"ttl":60}]"#
            try await cli("FCALL", "policy_set", "0", "asgi", newer)
            try await reconnect(house, cli)
            #expect(try await cli("GET", "tocsin:policy").text?.contains(#""size":1000"#) == true)
        }
    }

    @Test func `The real message of a position that somebody's PUBLISH had taken is shown`() async throws {
        try await LayerHouse.onServer { _, house, cli in
            try await house.join("news")
            let first = try await house.send(#"{"n":1}"#, to: "news").position
            _ = try await house.outlets[0].texts(1)
            var next = first
            next.offset += 1
            try await cli("PUBLISH", "asgi__group__news", #"{"__tocsin__":"\#(next)","forged":1}"#)
            _ = try await house.outlets[0].texts(2)
            try await house.send(#"{ "n":2}"#, to: "news")
            #expect(try await house.outlets[0].texts(3).last?.contains(#""n":2"#) == true)
            try await waitUntil("the dispute to be counted") { house.metric("tocsin_positions_disputed_total") == 1 }
            // Continues as if nothing had happened.
            try await house.send(#"{"n":3}"#, to: "news")
            #expect(try await house.outlets[0].texts(4).last == #"news {"n":3}"#)
        }
    }

    @Test func `A forged message that comes second is not shown`() async throws {
        try await LayerHouse.onServer { _, house, cli in
            try await house.join("news")
            let first = try await house.send(#"{"n":1}"#, to: "news").position
            try await cli("PUBLISH", "asgi__group__news", #"{"__tocsin__":"\#(first)","forged":1}"#)
            try await house.send(#"{"n":2}"#, to: "news")
            #expect(try await house.outlets[0].texts(2) == [#"news {"n":1}"#, #"news {"n":2}"#])
        }
    }

    @Test func `A foreign roster is counted, and holds up no other group`() async throws {
        try await LayerHouse.onServer { _, house, cli in
            for group in ["a", "b", "c"] {
                try await cli(
                    "FCALL", "group_add", "1", "asgi:group:\(group)", "gw-dead", "60", "specific.gw-dead!1", "7", "")
            }
            try await cli("DEL", "tocsin:roster:b")
            try await cli("SET", "tocsin:roster:b", "somebody's")
            try await cli("FCALL", "gateway_lease", "0", "asgi", "gw-dead", "1", "")
            try await waitUntil("the dead gateway to be swept") {
                try await cli("EXISTS", "tocsin:roster:a", "tocsin:roster:c", "tocsin:members:gw-dead").int == 0
            }
            try await waitUntil("the foreign key to be counted") {
                (house.metric("tocsin_foreign_keys_total") ?? 0) > 0
            }
            #expect(try await cli.texts("ZRANGE", "tocsin:foreign", "0", "-1") == ["tocsin:roster:b"])
        }
    }

    @Test func `A foreign list of a predecessor's connections keeps nobody from starting`() async throws {
        try await RedisServer.run { server in
            try await Cli.run(server) { cli in
                try await cli("SET", "tocsin:members:gw-a", "somebody's")
                try await LayerHouse.run(server, id: "gw-b") { house in
                    try await cli("SET", "tocsin:members:gw-old", "somebody's")
                    try await cli("ZADD", "tocsin:gateways", "1", "gw-old")
                    try await house.join("news")
                }
            }
        }
    }

    @Test func `Members that somebody takes out are counted at the next refresh`() async throws {
        try await LayerHouse.onServer({ $0.refreshInterval = .milliseconds(200) }) { _, house, cli in
            try await house.join("news")
            try await cli("ZREMRANGEBYSCORE", "asgi:group:news", "0", "+inf")
            try await waitUntil("the loss to be counted") { (house.metric("tocsin_members_vanished_total") ?? 0) > 0 }
            #expect(
                try await cli.texts("ZRANGE", "asgi:group:news", "0", "-1") == [InboxMember.channel("news")])
        }
    }

    @Test func `Connections that Redis still has of this gateway, and it has not, are taken out when it connects`()
        async throws
    {
        try await LayerHouse.onServer { _, house, cli in
            let (connection, _) = try await house.join("news")
            // As on a promoted replica that lacks the leave.
            try await cli(
                "FCALL", "group_add", "1", "asgi:group:news", "gw-a", "60", "specific.gw-a!00000000000000aa", "", "")
            #expect(try await cli.roster("news").count == 2)
            try await reconnect(house, cli)
            try await waitUntil("the stranger to go") {
                try await Array(cli.roster("news").keys) == ["specific.gw-a!\(connection)"]
            }
        }
    }

    @Test func `Who joins without its lease renews it and is let in`() async throws {
        try await LayerHouse.onServer({ $0.leaseSeconds = 3600 }) { _, house, cli in
            try await cli("DEL", "tocsin:gateway:gw-a")
            try await house.join("news")
            #expect(try await cli("EXISTS", "tocsin:gateway:gw-a").int == 1)
            #expect(try await cli.roster("news").count == 1)
        }
    }

    @Test func `Groups without history are told when the lease was gone`() async throws {
        try await LayerHouse.onServer({
            $0.leaseSeconds = 2
            $0.policies = [GroupPolicy(match: "live.*", historySize: 0, historyTTL: 60)]
        }) { _, house, cli in
            try await house.join("live.a")
            try await house.join("kept")
            try await cli("DEL", "tocsin:gateway:gw-a")
            try await waitUntil("the loss to be told") { house.outlets[0].losses == [.gap] }
        }
    }
}
