import Broker
import NIOCore
import RedisClient
import TestSupport
import Testing

@testable import ChannelLayer

/// The backplane on a real Redis.
struct RedisBackplaneTests {
    private func run(
        policies: [GroupPolicy] = [], _ body: (LayerHouse, Cli) async throws -> Void
    ) async throws {
        try await RedisServer.run { server in
            try await Cli.run(server) { cli in
                try await LayerHouse.run(server, policies: policies) { house in try await body(house, cli) }
            }
        }
    }

    private func code(_ body: () async throws -> Void) async -> BackplaneError.Code? {
        do {
            try await body()
            return nil
        } catch {
            return (error as? BackplaneError)?.code
        }
    }

    @Test func `A join makes one fleet member, one roster entry and one subscription`() async throws {
        try await run { house, cli in
            let (first, position) = try await house.join("news", user: "42")
            let (second, _) = try await house.join("news")
            #expect(position.offset == 0)
            #expect(try await cli.texts("ZRANGE", "asgi:group:news", "0", "-1") == [InboxMember.channel("news")])
            let roster = try await cli.roster("news")
            #expect(Set(roster.keys) == ["specific.gw-a!\(first)", "specific.gw-a!\(second)"])
            #expect(roster["specific.gw-a!\(first)"]?.hasPrefix(#"{"user":"42","gateway":"gw-a","since":"#) == true)
            #expect(roster["specific.gw-a!\(second)"]?.hasPrefix(#"{"gateway":"gw-a","since":"#) == true)
            #expect(try await cli("PUBSUB", "NUMSUB", "asgi__group__news").array?.last?.int == 1)
        }
    }

    @Test func `A message is delivered with its position to the outlets that have members, once each`() async throws {
        try await run { house, _ in
            try await house.join("news", outlet: 0)
            try await house.join("news", outlet: 0)
            try await house.join("other", outlet: 1)
            let receipt = try await house.send(#"{"type":"receive","balance":3.50}"#, to: "news")
            #expect(receipt.position.offset == 1)
            #expect(receipt.gateways == 1)
            try await house.send(#"{"marker":1}"#, to: "other")
            #expect(try await house.outlets[1].texts(1) == [#"other {"marker":1}"#])
            #expect(try await house.outlets[0].texts(1) == [#"news {"type":"receive","balance":3.50}"#])
            #expect(house.outlets[0].publications.first?.position == receipt.position)
            #expect(house.metric("tocsin_group_sends_total") == 2)
            #expect(house.metric("tocsin_messages_received_total") == 2)
        }
    }

    @Test func `A thousand messages arrive in order, their offsets without holes`() async throws {
        try await run { house, _ in
            try await house.join("news")
            let group = try GroupName("news")
            let futures = (1...1000).map { house.backplane.groupSend(ByteBuffer(string: "{\"n\":\($0)}"), to: group) }
            for (index, future) in futures.enumerated() {
                #expect(try await future.get().position.offset == UInt64(index + 1))
            }
            #expect(try await house.outlets[0].texts(1000) == (1...1000).map { "news {\"n\":\($0)}" })
            #expect(house.outlets[0].publications.map { $0.position?.offset } == (1...1000).map { UInt64($0) })
        }
    }

    @Test func `A bare PUBLISH is delivered without a position, from JSON and from msgpack`() async throws {
        try await run { house, cli in
            try await house.join("news")
            #expect(try await cli("PUBLISH", "asgi__group__news", #"{"balance": 12.5}"#).int == 1)
            var packed = RedisCommand("PUBLISH", "asgi__group__news")
            packed.append(ByteBuffer(bytes: [0x81, 0xA1, 0x6E, 0xCF, 0x00, 0x20, 0, 0, 0, 0, 0, 0x01]))
            _ = try await cli.client.send(packed)
            #expect(
                try await house.outlets[0].texts(2) == [#"news {"balance": 12.5}"#, #"news {"n":9007199254740993}"#])
            #expect(house.outlets[0].publications.allSatisfy { $0.position == nil })
        }
    }

    @Test func `What is published and is no message is counted, and what follows arrives`() async throws {
        try await run { house, cli in
            try await house.join("news")
            for rubbish in ["", "hello", "[1]", "{\"a\":", "{} {}", "\u{2a}"] {
                try await cli("PUBLISH", "asgi__group__news", rubbish)
            }
            try await cli("PUBLISH", "asgi__group__news", #"{"n":1}"#)
            #expect(try await house.outlets[0].texts(1) == [#"news {"n":1}"#])
            #expect(house.metric(#"tocsin_messages_malformed_total{entrance="publish"}"#) == 6)
        }
    }

    @Test(arguments: ["", "hello", "[1]", "{\"a\":", "null"])
    func `What is no message is refused to its sender`(rubbish: String) async throws {
        try await run { house, _ in
            #expect(await code { try await house.send(rubbish, to: "news") } == .refused)
        }
    }

    @Test func `When the last member goes the group is left, and not before`() async throws {
        try await run { house, cli in
            let (first, _) = try await house.join("news", outlet: 0)
            let (second, _) = try await house.join("news", outlet: 1)
            try house.leave(first, "news", outlet: 0)
            try await house.send(#"{"n":1}"#, to: "news")
            #expect(try await house.outlets[1].texts(1) == [#"news {"n":1}"#])
            #expect(house.outlets[0].texts.isEmpty)
            try house.leave(second, "news", outlet: 1)
            try await waitUntil("no subscription") {
                try await cli("PUBSUB", "NUMSUB", "asgi__group__news").array?.last?.int == 0
            }
            try await waitUntil("an empty roster") { try await cli.roster("news").isEmpty }
            #expect(try await house.send(#"{"n":2}"#, to: "news").gateways == 0)
        }
    }

    @Test func `Leaving what was never joined, or twice, is nothing`() async throws {
        try await run { house, cli in
            let (connection, _) = try await house.join("news")
            try house.leave(.random(), "news")
            try house.leave(connection, "never")
            try house.leave(connection, "news")
            try house.leave(connection, "news")
            try await waitUntil("an empty roster") { try await cli.roster("news").isEmpty }
            try await house.join("news")
            #expect(try await cli.roster("news").count == 1)
        }
    }

    @Test func `Two gateways each get a message once, for their own outlets`() async throws {
        try await RedisServer.run { server in
            try await LayerHouse.run(server, id: "gw-a") { a in
                try await LayerHouse.run(server, id: "gw-b") { b in
                    try await a.join("both", outlet: 1)
                    try await b.join("both", outlet: 0)
                    try await b.join("only-b", outlet: 1)
                    #expect(try await a.send(#"{"n":1}"#, to: "both").gateways == 2)
                    #expect(try await a.send(#"{"n":2}"#, to: "only-b").gateways == 1)
                    #expect(try await b.send(#"{"n":3}"#, to: "both").gateways == 2)
                    #expect(try await a.outlets[1].texts(2) == [#"both {"n":1}"#, #"both {"n":3}"#])
                    #expect(try await b.outlets[0].texts(2) == [#"both {"n":1}"#, #"both {"n":3}"#])
                    #expect(try await b.outlets[1].texts(1) == [#"only-b {"n":2}"#])
                    #expect(a.outlets[0].texts.isEmpty)
                }
            }
        }
    }

    @Test func `A group's key of a wrong type refuses that join only`() async throws {
        try await run { house, cli in
            try await cli("SET", "asgi:group:broken", "a string")
            let names = ["good-1", "broken", "good-2"]
            let joins = try names.map { name in
                house.backplane.groupAdd(Member(connection: .random(), user: nil), to: try GroupName(name), outlet: 0)
            }
            #expect(await code { _ = try await joins[0].get() } == nil)
            #expect(await code { _ = try await joins[1].get() } == .refused)
            #expect(await code { _ = try await joins[2].get() } == nil)
            try await waitUntil("the refused join to be undone") {
                try await cli("PUBSUB", "NUMSUB", "asgi__group__broken").array?.last?.int == 0
            }
            try await cli("DEL", "asgi:group:broken")
            try await house.join("broken")
        }
    }

    @Test func `Policies reach Redis and are kept to`() async throws {
        let policies = [
            GroupPolicy(match: "live.*", historySize: 0), GroupPolicy(match: "*", historySize: 3, historyTTL: 60),
        ]
        try await run(policies: policies) { house, cli in
            try await house.send("{}", to: "live.cursor")
            for _ in 0..<500 { try await house.send("{}", to: "kept") }
            #expect(try await cli("EXISTS", "tocsin:log:live.cursor").int == 0)
            let length = try await cli("XLEN", "tocsin:log:kept").int ?? 0
            #expect((3...200).contains(length), "at least the size; Redis trims by nodes")
            #expect((1...60).contains(try await cli("TTL", "tocsin:log:kept").int ?? 0))
        }
    }

    @Test func `Another prefix is another world`() async throws {
        try await RedisServer.run { server in
            try await LayerHouse.run(server) { ours in
                try await LayerHouse.run(server, id: "gw-b", { $0.prefix = "site2" }) { theirs in
                    try await ours.join("news")
                    try await theirs.join("news")
                    #expect(try await theirs.send(#"{"n":2}"#, to: "news").gateways == 1)
                    #expect(try await ours.send(#"{"n":1}"#, to: "news").gateways == 1)
                    #expect(try await theirs.outlets[0].texts(1) == [#"news {"n":2}"#])
                    #expect(try await ours.outlets[0].texts(1) == [#"news {"n":1}"#])
                }
            }
        }
    }
}
