import Broker
import NIOCore
import RedisClient
import TestSupport
import Testing

@testable import ChannelLayer

/// Messages with a position that no gateway can read, written to Redis by another library or by hand: they must be reported, at
/// their position.
struct UnreadableTests {
    /// {"d": {1: "x"}}
    private static let unreadable = hex("81 a164 81 01 a178")

    private func run(
        policies: [GroupPolicy] = [], _ body: (LayerHouse, Cli) async throws -> Void
    ) async throws {
        try await RedisServer.run { server in
            try await Cli.run(server) { cli in
                try await LayerHouse.run(server, policies: policies) { house in
                    // A library that accepts everything, with the version number of the one that gateways carry.
                    let source = String(buffer: FunctionLibrary.source)
                    let head = "  byte, find = string.byte, string.find\n"
                    try await cli(
                        "FUNCTION", "LOAD", "REPLACE", source.replacing(head, with: head + "  do return nil end\n"))
                    try await body(house, cli)
                }
            }
        }
    }

    private func send(_ message: ByteBuffer, _ cli: Cli) async throws {
        _ = try await cli.client.send(LayerKeys().groupSend(message, to: GroupName("g")))
    }

    private func send(_ json: String, _ cli: Cli) async throws { try await send(ByteBuffer(string: json), cli) }

    @Test func `One that comes live is a gap, told before what follows`() async throws {
        try await run { house, cli in
            try await house.join("g")
            try await send(#"{"n":1}"#, cli)
            try await send(Self.unreadable, cli)
            try await send(#"{"n":3}"#, cli)
            #expect(try await house.outlets[0].texts(2) == [#"g {"n":1}"#, #"g {"n":3}"#])
            #expect(house.outlets[0].told == ["1", "gap 2", "3"])
            #expect(house.metric("tocsin_continuity_lost_total") == 1)
            #expect(house.metric(#"tocsin_messages_malformed_total{entrance="publish"}"#) == 1)
        }
    }

    @Test func `One that nothing follows is told all the same`() async throws {
        try await run { house, cli in
            try await house.join("g")
            try await send(#"{"n":"\#u{0}"}"#, cli)
            try await waitUntil("the gap") { house.outlets[0].told == ["gap 1"] }
        }
    }

    @Test func `In a page of the log it is marked, and others of it are as they are`() async throws {
        try await run { house, cli in
            try await send(#"{"n":1}"#, cli)
            try await send(Self.unreadable, cli)
            try await send(#"{"n":01}"#, cli)
            try await send(#"{"n":4}"#, cli)
            let group = try GroupName("g")
            let now = try #require(
                try await house.backplane.read(group, since: nil, bytes: 1 << 20, ReadTicket()).get().position)
            let beginning = Position(epoch: now.epoch, history: now.history, offset: 0)
            let page = try await house.backplane.read(group, since: beginning, bytes: 1 << 20, ReadTicket()).get()
            #expect(page.continuity == .resumed && page.continuityAsWhole == .gap)
            #expect(page.entries.map(\.offset) == [1, 2, 3, 4])
            #expect(page.entries.map(\.isUnreadable) == [false, true, true, false])
            let history = try await house.backplane.inspector.history(of: group, since: beginning)
            #expect(history.continuity == .gap && history.publications.count == 2)
        }
    }

    @Test func `One that has expired is no gap`() async throws {
        try await run { house, cli in
            try await house.join("g")
            try await send(#"{"n":1}"#, cli)
            try await cli("FCALL", "group_send", "1", "asgi:group:g", #"{"n":2}"#, "TTL", "1")
            let position = try #require(house.outlets[0].publications.first?.position ?? nil)
            try await waitUntil("the end of its time") {
                let page = try await house.backplane.read(
                    try GroupName("g"), since: position, bytes: 1 << 20, ReadTicket()
                ).get()
                return page.entries.count == 1 && page.entries[0].publication == nil && !page.hasUnreadable
            }
        }
    }

    @Test func `A stranger's, under a position that the log does not have, costs nobody anything`() async throws {
        try await run { house, cli in
            try await house.join("g")
            try await send(#"{"n":1}"#, cli)
            _ = try await house.outlets[0].texts(1)
            let position = try #require(house.outlets[0].publications.first?.position ?? nil)
            try await cli("PUBLISH", "asgi__group__g", #"{"__tocsin__":"\#(position.wireEpoch):2",broken"#)
            try await send(#"{"n":2}"#, cli)
            #expect(try await house.outlets[0].texts(2) == [#"g {"n":1}"#, #"g {"n":2}"#])
            #expect(house.outlets[0].told == ["1", "2"])
        }
    }

    @Test func `In a group without a log it is counted as missed, and what follows is delivered`() async throws {
        try await run(policies: [GroupPolicy(match: "*", historySize: 0)]) { house, cli in
            try await house.join("g")
            try await send(#"{"n":1}"#, cli)
            try await send(Self.unreadable, cli)
            try await send(#"{"n":3}"#, cli)
            #expect(try await house.outlets[0].texts(2) == [#"g {"n":1}"#, #"g {"n":3}"#])
            #expect(house.outlets[0].told == ["1", "3"])
            try await waitUntil("the count") { house.metric("tocsin_messages_missed_total") == 1 }
        }
    }
}

extension Catcher {
    /// The offsets of publications, and of losses with their verdict, in order.
    fileprivate var told: [String] {
        deliveries.compactMap { delivery in
            switch delivery {
            case .publication(let publication): publication.position.map { "\($0.offset)" }
            case .lost(_, let continuity, let position): "\(continuity.name) \(position.offset)"
            default: nil
            }
        }
    }
}
