import Broker
import NIOCore
import RedisClient
import TestSupport
import Testing

@testable import ChannelLayer

/// redis/tocsin.lua and the gateways each validate messages. Here both must agree on the same ones.
struct ValidatorAgreementTests {
    private static let batch = 500

    @Test(.timeLimit(.minutes(3)), arguments: [1, 2, 3] as [UInt64])
    func `What group_send accepts a gateway shows, and what no gateway could show group_send refuses`(
        seed: UInt64
    ) async throws {
        var forge = MessageForge(seed: seed)
        let messages = CorpusMessage.all.map(\.bytes) + (0..<6000).map { _ in forge.next() }
        let policies = [GroupPolicy(match: "*", historySize: 100_000)]
        try await RedisServer.run { server in
            try await Cli.run(server) { cli in
                try await LayerHouse.run(server, policies: policies) { house in
                    try await house.join("g")
                    var expected: [String] = []
                    let group = try GroupName("g")
                    for start in stride(from: 0, to: messages.count, by: Self.batch) {
                        let part = messages[start..<min(start + Self.batch, messages.count)]
                        let replies = part.map { message in
                            cli.client.submit(LayerKeys().groupSend(message, to: group))
                        }
                        for (message, reply) in zip(part, replies) {
                            let shown = try? WireMessage.decode(message).json
                            let accepted = (try? await reply.get()) != nil
                            try #require(accepted == (shown != nil && !isPythons(message)), "\(hexDump(message))")
                            if accepted { expected.append(compact(shown!)) }
                        }
                    }
                    #expect((1000...messages.count - 1000).contains(expected.count), "both kinds were tried")
                    _ = try await house.outlets[0].texts(expected.count)
                    let live = house.outlets[0].publications.map { compact($0.json) }
                    #expect(live.count == expected.count)
                    for (shown, expected) in zip(live, expected) { try #require(shown == expected) }
                    #expect(house.outlets[0].losses.isEmpty)
                    #expect(house.metric(#"tocsin_messages_malformed_total{entrance="publish"}"#) == 0)
                    #expect(try await logged(house) == expected)
                }
            }
        }
    }

    /// The contents of the group's log, as a gateway reads it.
    private func logged(_ house: LayerHouse) async throws -> [String] {
        let group = try GroupName("g")
        let now = try #require(
            try await house.backplane.read(group, since: nil, bytes: 1 << 20, ReadTicket()).get().position)
        var cursor = Position(epoch: now.epoch, history: now.history, offset: 0)
        var texts: [String] = []
        while cursor.offset < now.offset {
            let page = try await house.backplane.read(group, since: cursor, bytes: 1 << 20, ReadTicket()).get()
            #expect(page.continuity == .resumed && !page.hasUnreadable)
            texts += page.entries.compactMap { $0.publication.map { compact($0.json) } }
            cursor = try #require(page.end)
        }
        return texts
    }

    /// Without white space between tokens, of which different amounts remain where the broker's entries were.
    private func compact(_ json: ByteBuffer) -> String {
        var isInString = false, isEscaped = false
        let kept = json.readableBytesView.filter { byte in
            defer {
                if byte == UInt8(ascii: "\""), !isEscaped { isInString.toggle() }
                isEscaped = byte == UInt8(ascii: "\\") && !isEscaped
            }
            return isInString || byte != UInt8(ascii: " ") && byte != UInt8(ascii: "\t")
        }
        return String(decoding: kept, as: UTF8.self)
    }

    /// Whether the message contains one of Python's three literals for floats that JSON cannot represent. Gateways turn them into
    /// `null`; senders by group_send get an error instead.
    private func isPythons(_ message: ByteBuffer) -> Bool {
        guard let original = try? JSONText.object(message, removing: [], form: .original).text,
            let line = try? JSONText.object(message, removing: [], form: .oneLine).text
        else { return false }
        return !line.readableBytesView.elementsEqual(original.readableBytesView.filter { $0 != 0x0A && $0 != 0x0D })
    }

    private func hexDump(_ message: ByteBuffer) -> String {
        message.readableBytesView.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}
