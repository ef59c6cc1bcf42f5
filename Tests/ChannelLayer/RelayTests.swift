import Broker
import NIOCore
import RedisClient
import TestSupport
import Testing

@testable import ChannelLayer

/// Messages that Django's core layer writes to the fleet's inboxes reach the fleet.
struct RelayTests {
    private func add(_ cli: Cli, _ key: String, _ message: ByteBuffer, at score: Int) -> EventLoopFuture<RedisValue> {
        var command = RedisCommand("ZADD", key, "\(score)")
        command.append(message)
        return cli.client.submit(command)
    }

    private func numbers(_ texts: [String]) -> [String] {
        texts.map { $0.replacing(#"{"type":"receive","n":"#, with: "").replacing("}", with: "") }
    }

    @Test func `An inbox's message is delivered with a position and without the layer's own entry`() async throws {
        try await RedisServer.run { server in
            try await Cli.run(server) { cli in
                try await LayerHouse.run(server) { house in
                    try await house.join("42isInsufficient")
                    let message = InboxMember.message(7, to: "42isInsufficient")
                    _ = try await add(cli, InboxMember.key("42isInsufficient"), message, at: 1).get()
                    #expect(try await house.outlets[0].texts(1) == [#"42isInsufficient {"type":"receive","n":7}"#])
                    #expect(house.outlets[0].publications.first?.position?.offset == 1)
                    try await waitUntil("an empty staging stream") {
                        try await cli("XLEN", LayerKeys().staging(InboxMember.number("42isInsufficient"))).int == 0
                    }
                    try await waitUntil("the count") { house.metric("tocsin_relay_messages_total") == 1 }
                }
            }
        }
    }

    @Test func `Five hundred messages through two gateways: none lost, none twice, order kept in each group`()
        async throws
    {
        let groups = (0..<10).map { "group-\($0)" }
        try await RedisServer.run { server in
            try await Cli.run(server) { cli in
                try await LayerHouse.run(server, id: "gw-a") { a in
                    try await LayerHouse.run(server, id: "gw-b") { b in
                        for group in groups {
                            try await a.join(group)
                            try await b.join(group)
                        }
                        let writes = (0..<500).map { number in
                            let group = groups[number % 10]
                            return add(cli, InboxMember.key(group), InboxMember.message(number, to: group), at: number)
                        }
                        for write in writes { #expect(try await write.get().int == 1) }
                        for house in [a, b] {
                            let texts = numbers(try await house.outlets[0].texts(500))
                            #expect(texts.count == 500)
                            for (index, group) in groups.enumerated() {
                                let expected = stride(from: index, to: 500, by: 10).map { "\(group) \($0)" }
                                #expect(texts.filter { $0.hasPrefix("\(group) ") } == expected)
                            }
                        }
                        let relayed =
                            (a.metric("tocsin_relay_messages_total") ?? 0)
                            + (b.metric("tocsin_relay_messages_total") ?? 0)
                        #expect(relayed == 500)
                    }
                }
            }
        }
    }

    @Test func `What lies in an inbox before any gateway lives is relayed when one comes`() async throws {
        try await RedisServer.run { server in
            try await Cli.run(server) { cli in
                _ = try await add(cli, InboxMember.key("news"), InboxMember.message(1, to: "news"), at: 1).get()
                try await LayerHouse.run(server) { _ in
                    try await waitUntil("the message in the log") { try await cli("XLEN", "tocsin:log:news").int == 1 }
                }
            }
        }
    }

    @Test func `What is no message is counted and does not hold up the next one`() async throws {
        let rubbish: [[UInt8]] = [
            Array("short".utf8), Array(repeating: 0, count: 12), Array(repeating: 0, count: 12) + [0xC1, 0xC1],
            Array(repeating: 1, count: 12) + [0x93, 1, 2, 3],
            Array(repeating: 2, count: 12) + [0x81, 0xA1, 0x61, 0x01],
        ]
        try await RedisServer.run { server in
            try await Cli.run(server) { cli in
                try await LayerHouse.run(server) { house in
                    try await house.join("news")
                    for (index, bytes) in rubbish.enumerated() {
                        _ = try await add(cli, InboxMember.key("news"), ByteBuffer(bytes: bytes), at: index).get()
                    }
                    let foreign = InboxMember.message(
                        1, channels: ["specific.other!x", "a b!\0", "", "specific.tocsin-zz!news"])
                    _ = try await add(cli, InboxMember.key("news"), foreign, at: 90).get()
                    _ = try await add(cli, InboxMember.key("news"), InboxMember.message(2, to: "news"), at: 91).get()
                    #expect(numbers(try await house.outlets[0].texts(1)) == ["news 2"])
                    try await waitUntil("all of them counted") {
                        house.metric(#"tocsin_messages_malformed_total{entrance="core_layer"}"#) == rubbish.count + 1
                    }
                }
            }
        }
    }

    @Test func `A message for several groups of one inbox is told to each`() async throws {
        let names = (0..<200).map { "room-\($0)" }.filter { InboxMember.number($0) == InboxMember.number("room-0") }
        let two = Array(names.prefix(2))
        try #require(two.count == 2)
        try await RedisServer.run { server in
            try await Cli.run(server) { cli in
                try await LayerHouse.run(server) { house in
                    for name in two { try await house.join(name) }
                    let message = InboxMember.message(5, channels: two.map(InboxMember.channel))
                    _ = try await add(cli, InboxMember.key(two[0]), message, at: 1).get()
                    #expect(Set(numbers(try await house.outlets[0].texts(2))) == Set(two.map { "\($0) 5" }))
                }
            }
        }
    }

    @Test func `Without the right to set the doorbell the inboxes are polled`() async throws {
        let users = ["--user", "gateway", "on", ">s3cret", "~*", "&*", "+@all", "-config"]
        try await RedisServer.run(arguments: { _ in users }) { server in
            try await Cli.run(server) { cli in
                try await LayerHouse.run(server, user: "gateway:s3cret@") { house in
                    try await house.join("news")
                    #expect(try await cli("CONFIG", "GET", "notify-keyspace-events").pairs.first?.1 == "")
                    for number in 1...3 {
                        _ = try await add(
                            cli, InboxMember.key("news"), InboxMember.message(number, to: "news"), at: number
                        ).get()
                        #expect(numbers(try await house.outlets[0].texts(number)).last == "news \(number)")
                    }
                }
            }
        }
    }
}
