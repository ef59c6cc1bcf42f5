import Broker
import NIOCore
import TestSupport
import Testing

@testable import Gateway

/// permessage-deflate over real sockets.
struct CompressionServerTests {
    private static let offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"
    private static let long = #"{"text":""# + String(repeating: "all the bells ", count: 100) + #""}"#

    private static func run(_ body: (GatewayHouse) async throws -> Void) async throws {
        let routes = try [
            GatewayHouse.route("/ws/{room}", ["{room}"]),
            GatewayHouse.route("/mirror", ["mirror"], receive: .mirror),
        ]
        try await GatewayHouse.run(routes, change: { $0.compression.isEnabled = true }, body)
    }

    /// A compressed frame as a client sends it.
    private static func compressed(_ message: [UInt8], opcode: UInt8 = 1) -> FrameMaker {
        FrameMaker(opcode: opcode, payload: Zlib.compress(message), reserved: 4)
    }

    @Test func `A publication is compressed for those who offered it, and for nobody else`() async throws {
        try await Self.run { house in
            let small = Self.offer + "; server_max_window_bits=10"
            let with = try await house.connect("/ws/a", [Self.offer])
            let narrow = try await house.connect("/ws/a", [small])
            let without = try await house.connect("/ws/a")
            try await waitUntil("three members") { house.backplane.memberships == 3 }
            house.backplane.publish(Self.long, to: "a")
            house.backplane.publish(#"{"short":1}"#, to: "a")
            for (browser, isCompressed) in [(with, true), (narrow, true), (without, false)] {
                let frame = try await browser.frame()
                #expect(frame.text == Self.long && frame.isCompressed == isCompressed)
                #expect(try await browser.frame() == Browser.Frame(opcode: 1, payload: Array(#"{"short":1}"#.utf8)))
            }
        }
    }

    @Test func `The answer to the handshake says what was agreed on`() async throws {
        try await Self.run { house in
            for (headers, answer) in [
                ([Self.offer], "permessage-deflate; server_no_context_takeover; client_no_context_takeover"),
                (["Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=8"], nil), ([], nil),
            ] as [([String], String?)] {
                let raw = try await RawClient.connect(port: house.port)
                try await raw.send(GatewayHouse.handshake("/ws/a", headers))
                let head = try await Browser(raw: raw).head()
                #expect(head.status == 101 && head.headers["sec-websocket-extensions"] == answer)
                await raw.close()
            }
            #expect(try await house.status("/ws/a", ["Sec-WebSocket-Extensions: ("]) == 400)
        }
    }

    @Test func `Compressed messages are read, whole, in fragments, and beside ones that are not`() async throws {
        try await Self.run { house in
            let browser = try await house.connect("/mirror", [Self.offer])
            try await browser.send(Self.compressed(Array("Hello".utf8)), .text("plain"))
            #expect(try await browser.text() == "Hello")
            #expect(try await browser.text() == "plain")
            let payload = Zlib.compress(Array(Self.long.utf8))
            try await browser.send(
                FrameMaker(opcode: 1, payload: Array(payload.prefix(10)), isFinal: false, reserved: 4), .ping("now"),
                FrameMaker(opcode: 0, payload: Array(payload.dropFirst(10))))
            #expect(try await browser.frame() == Browser.Frame(opcode: 10, payload: Array("now".utf8)))
            #expect(
                try await browser.frame()
                    == Browser.Frame(opcode: 1, payload: Array(Self.long.utf8), isCompressed: true))
            try await browser.send(Self.compressed([0xFF, 0x00], opcode: 2))
            #expect(try await browser.frame() == Browser.Frame(opcode: 2, payload: [0xFF, 0x00]))
        }
    }

    private static let violations: [(CloseCode, FrameMaker)] = [
        (.tooBig, compressed([UInt8](repeating: 0x61, count: 65_537))), (.invalidData, compressed([0xFF])),
        (.invalidData, FrameMaker(opcode: 1, payload: [0xFF, 0xFF], reserved: 4)),
        (.invalidData, FrameMaker(opcode: 1, payload: [0xF2, 0x48, 0xCD], reserved: 4)),
        (.protocolError, FrameMaker(opcode: 9, reserved: 4)),
    ]

    @Test(arguments: violations.indices)
    func `What cannot be inflated ends the connection with its code`(index: Int) async throws {
        let (code, frame) = Self.violations[index]
        try await Self.run { house in
            let browser = try await house.connect("/mirror", [Self.offer])
            try await browser.send(frame, .text("after"))
            let close = try await browser.frame()
            #expect(close.closeCode == code.rawValue && !close.closeReason.isEmpty)
            try? await browser.send(.close(code.rawValue))
            try await browser.waitForEnd()
            #expect(browser.raw.received.isEmpty, "nothing is answered after a close frame")
            #expect(house.metric(#"tocsin_connections_cut_total{reason="protocol"}"#) == 1)
        }
    }

    @Test func `Without an offer a compressed frame is refused`() async throws {
        try await Self.run { house in
            let browser = try await house.connect("/mirror")
            try await browser.send(Self.compressed(Array("Hello".utf8)))
            #expect(try await browser.closeCode() == 1002)
        }
    }
}
