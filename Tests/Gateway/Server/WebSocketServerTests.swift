import Broker
import Foundation
import TestSupport
import Testing

@testable import Gateway

/// A WebSocket's life cycle on a real socket.
struct WebSocketServerTests {
    @Test func `A message reaches the members of its group, once each and as it was written, and nobody else`()
        async throws
    {
        try await GatewayHouse.run { house in
            var members: [Browser] = []
            for _ in 0..<8 { members.append(try await house.connect("/ws/news")) }
            let stranger = try await house.connect("/ws/other")
            let json = #"{"type":"receive", "isInsufficient:":true,"balance":12.50,"ë":"€"}"#
            house.backplane.publish(json, to: "news")
            house.backplane.publish(#"{"n":2}"#, to: "news")
            for member in members {
                #expect(try await member.text() == json)
                #expect(try await member.text() == #"{"n":2}"#)
                try await member.expectNothing()
            }
            try await stranger.expectNothing()
            #expect(house.metric("tocsin_deliveries_total") == 16)
        }
    }

    @Test func `Whoever is in a group by two names gets its messages once`() async throws {
        let routes = try [GatewayHouse.route("/two/{a}/{b}", ["{a}", "{b}", "{a}"])]
        try await GatewayHouse.run(routes) { house in
            let twice = try await house.connect("/two/x/x")
            let both = try await house.connect("/two/x/y")
            house.backplane.publish(#"{"n":1}"#, to: "x")
            house.backplane.publish(#"{"n":2}"#, to: "y")
            #expect(try await twice.text() == #"{"n":1}"#)
            #expect(try await both.text() == #"{"n":1}"#)
            #expect(try await both.text() == #"{"n":2}"#)
            await both.close()
            try await waitUntil("one membership") { house.backplane.memberships == 1 }
            house.backplane.publish(#"{"n":3}"#, to: "x")
            #expect(try await twice.text() == #"{"n":3}"#)
            try await twice.expectNothing()
        }
    }

    @Test func `Messages of several groups that come together keep their order, and nobody waits for more`()
        async throws
    {
        let routes = try [
            GatewayHouse.route("/two/{a}/{b}", ["{a}", "{b}"]), GatewayHouse.route("/one/{a}", ["{a}"]),
        ]
        try await GatewayHouse.run(routes) { house in
            let both = try await house.connect("/two/x/y"), x = try await house.connect("/one/x")
            let z = try await house.connect("/one/z")
            let sent = [("1", "x"), ("2", "y"), ("3", "x"), ("4", "x"), ("5", "z")].map {
                (json: #"{"n":\#($0)}"#, group: $1)
            }
            house.backplane.publish(together: sent)
            for (json, group) in sent where group != "z" { #expect(try await both.text() == json) }
            for (json, group) in sent where group == "x" { #expect(try await x.text() == json) }
            #expect(try await z.text() == sent[4].json)
            for client in [both, x, z] { try await client.expectNothing() }
        }
    }

    @Test func `Echo answers the JSON string of the text, as json.dumps does`() async throws {
        try await GatewayHouse.run { house in
            let browser = try await house.connect("/echo/a")
            let cases = [
                ("hello", #""hello""#), ("", #""""#), (#"{"a":"b"}"#, #""{\"a\":\"b\"}""#),
                ("ë€𝄞", #""\u00eb\u20ac\ud834\udd1e""#),
                ("\u{0}\n\t\u{7f}/\\", #""\u0000\n\t\u007f/\\""#),
                (String(repeating: "x", count: 65_536), "\"" + String(repeating: "x", count: 65_536) + "\""),
            ]
            for (text, answer) in cases {
                try await browser.send(.text(text))
                #expect(try await browser.text() == answer)
            }
            #expect(house.metric("tocsin_client_messages_total") == cases.count)
        }
    }

    @Test func `Mirror answers the message itself, binary ones too`() async throws {
        let routes = try [GatewayHouse.route("/mirror", ["mirror"], receive: .mirror)]
        try await GatewayHouse.run(routes) { house in
            let browser = try await house.connect("/mirror")
            for text in ["no JSON", "", "ë€𝄞\u{0}", String(repeating: "x", count: 65_536)] {
                try await browser.send(.text(text))
                #expect(try await browser.text() == text)
            }
            for bytes in [[], [0xFF, 0x00], [UInt8](repeating: 0xFE, count: 300)] as [[UInt8]] {
                try await browser.send(.binary(bytes))
                #expect(try await browser.frame() == Browser.Frame(opcode: 2, payload: bytes))
            }
            #expect(house.metric("tocsin_client_messages_total") == 7)
        }
    }

    @Test func `What is to be ignored is ignored`() async throws {
        try await GatewayHouse.run { house in
            let browser = try await house.connect("/ws/a")
            try await browser.send(.text("anything"), .text("{}"))
            try await browser.expectNothing()
            #expect(house.backplane.sent.isEmpty)
        }
    }

    @Test func `group_send sends to the route's groups, and the browser cannot choose the type`() async throws {
        let routes = try [GatewayHouse.route("/chat/{room}", ["{room}", "all"], receive: .groupSend)]
        try await GatewayHouse.run(routes) { house in
            let sender = try await house.connect("/chat/a")
            let listener = try await house.connect("/chat/b")
            try await sender.send(.text(#"{"type":"evil","text":"hi"}"#))
            let message = #"{"text":"hi","type":"receive"}"#
            #expect(try await listener.text() == message)
            #expect(try await sender.text() == message)
            #expect(try await sender.text() == message)
            #expect(house.backplane.sent == [.init(group: "a", json: message), .init(group: "all", json: message)])
        }
    }

    @Test func `A message that is none, or is refused, is 1008, and one that is not accepted now 1013`() async throws {
        let routes = try [GatewayHouse.route("/chat/{room}", ["{room}"], receive: .groupSend)]
        try await GatewayHouse.run(routes) { house in
            let sender = try await house.connect("/chat/a")
            try await sender.send(.text("no JSON"))
            #expect(try await sender.closeCode() == 1008)
            house.backplane.setSends(.refusing)
            let refused = try await house.connect("/chat/a")
            try await refused.send(.text("{}"))
            #expect(try await refused.closeCode() == 1008)
            house.backplane.setSends(.unavailable)
            let unlucky = try await house.connect("/chat/a")
            try await unlucky.send(.text("{}"))
            #expect(try await unlucky.closeCode() == 1013)
        }
    }

    @Test func `A ping is answered with its own payload, a pong is not answered`() async throws {
        try await GatewayHouse.run { house in
            let browser = try await house.connect("/ws/a")
            let payload = (0..<125).map { UInt8($0) }
            try await browser.send(.pong("unasked"), FrameMaker(opcode: 9, payload: payload), .ping())
            #expect(try await browser.frame() == Browser.Frame(opcode: 10, payload: payload))
            #expect(try await browser.frame() == Browser.Frame(opcode: 10, payload: []))
        }
    }

    private static let violations: [(CloseCode, [FrameMaker])] = [
        (.protocolError, [FrameMaker(opcode: 1, payload: [0x61], isMasked: false)]),
        (.protocolError, [FrameMaker(opcode: 3)]),
        (.protocolError, [FrameMaker(opcode: 1, reserved: 4)]), (.protocolError, [.close(1005)]),
        (.invalidData, [FrameMaker(opcode: 1, payload: [0xFF])]),
        (.unsupportedData, [.binary([1, 2, 3])]), (.tooBig, [FrameMaker(opcode: 1, length: 65_537)]),
        (.tooBig, [.text(String(repeating: "x", count: 65_536), isFinal: false), .more("x")]),
        (.invalidData, [.close(1000, [0xFF])]),
    ]

    @Test(arguments: violations.indices)
    func `What is forbidden ends the connection with its code, and is counted`(index: Int) async throws {
        let (code, frames) = Self.violations[index]
        try await GatewayHouse.run { house in
            let browser = try await house.connect("/echo/a")
            try await browser.send(.text("before"))
            try await browser.raw.send(frames.flatMap(\.bytes) + FrameMaker.text("after").bytes)
            #expect(try await browser.text() == #""before""#)
            let close = try await browser.frame()
            #expect(close.closeCode == code.rawValue)
            #expect(!close.closeReason.isEmpty)
            try? await browser.send(.close(code.rawValue))
            try await browser.waitForEnd()
            #expect(browser.raw.received.isEmpty, "nothing is answered after a close frame")
            #expect(house.metric(#"tocsin_connections_cut_total{reason="protocol"}"#) == 1)
        }
    }

    @Test(arguments: [1000, 1001, 3000, 4999, nil] as [UInt16?])
    func `A client's goodbye is answered with its code, and the connection ends`(code: UInt16?) async throws {
        try await GatewayHouse.run { house in
            let browser = try await house.connect("/ws/a")
            try await browser.send(.close(code, code == nil ? [] : Array("bye".utf8)), .ping("after"))
            let answer = try await browser.frame()
            #expect(answer.opcode == 8 && answer.closeCode == code)
            try await browser.waitForEnd()
            try await waitUntil("nobody") { house.server.connections == 0 && house.backplane.memberships == 0 }
        }
    }

    @Test func `A client that goes without a word is forgotten`() async throws {
        try await GatewayHouse.run { house in
            let browser = try await house.connect("/ws/a")
            try await browser.raw.send(FrameMaker.text("half a frame").bytes.prefix(7))
            await browser.close()
            try await waitUntil("nobody") { house.server.connections == 0 && house.backplane.memberships == 0 }
        }
    }

    @Test func `Clients that do not end a connection that is over are ended, whatever ended it`() async throws {
        try await GatewayHouse.run(change: { $0.pongSeconds = 1 }) { house in
            let violator = try await house.connect("/ws/a", keepsOpen: true)
            try await violator.send(FrameMaker(opcode: 3))
            #expect(try await violator.closeCode() == 1002)
            let leaver = try await house.connect("/ws/a", keepsOpen: true)
            try await leaver.send(.close(1000))
            #expect(try await leaver.closeCode() == 1000)
            let binary = try await house.connect("/ws/a", keepsOpen: true)
            try await binary.send(.binary([1]))
            #expect(try await binary.closeCode() == 1003)
            try await waitUntil("nobody") { house.server.connections == 0 && house.backplane.memberships == 0 }
            #expect(house.metric(#"tocsin_connections_cut_total{reason="dead"}"#) == 0)
        }
    }
}
