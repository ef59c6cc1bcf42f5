import Broker
import NIOCore
import TestSupport
import Testing

@testable import Gateway

/// Early bytes, slow readers: what happens to a connection over time. Pings: ClientLifeTests.
struct ConnectionLifeTests {
    @Test func `Frames in the same segment as the handshake are not lost`() async throws {
        try await GatewayHouse.run { house in
            let raw = try await RawClient.connect(port: house.port)
            let frames = [FrameMaker.text("one"), .text("two"), .ping("three")]
            try await raw.send(Array(GatewayHouse.handshake("/echo/a").utf8) + frames.flatMap(\.bytes))
            let browser = Browser(raw: raw)
            #expect(try await browser.head().status == 101)
            #expect(try await browser.frame().text == #""one""#)
            #expect(try await browser.frame().text == #""two""#)
            #expect(try await browser.frame() == Browser.Frame(opcode: 10, payload: Array("three".utf8)))
            await browser.close()
        }
    }

    @Test func `Frames that come while the groups are being joined are not lost, and nothing is answered before`()
        async throws
    {
        try await GatewayHouse.run { house in
            house.backplane.setJoins(.silent)
            let raw = try await RawClient.connect(port: house.port)
            try await raw.send(GatewayHouse.handshake("/echo/a"))
            try await waitUntil("the join") { house.backplane.waiting == 1 }
            try await raw.send(FrameMaker.text("early").bytes)
            #expect(raw.received.isEmpty)
            // A message between the join and the response counts too.
            house.backplane.publish(#"{"n":1}"#, to: "a")
            house.backplane.release()
            let browser = Browser(raw: raw)
            #expect(try await browser.head().status == 101)
            #expect(Set([try await browser.text(), try await browser.text()]) == [#""early""#, #"{"n":1}"#])
            await browser.close()
        }
    }

    @Test func `A flood while the groups are being joined is refused instead of kept`() async throws {
        try await GatewayHouse.run { house in
            house.backplane.setJoins(.silent)
            let raw = try await RawClient.connect(port: house.port)
            try await raw.send(GatewayHouse.handshake("/ws/a"))
            try await waitUntil("the join") { house.backplane.waiting == 1 }
            try? await raw.send([UInt8](repeating: 0x81, count: 1 << 20))
            #expect(try await HTTPText(raw.rest()).status == 400)
            try await waitUntil("nobody") { house.server.connections == 0 && house.backplane.memberships == 0 }
            house.backplane.release()
        }
    }

    @Test func `A client that goes while its groups are being joined leaves nothing behind`() async throws {
        try await GatewayHouse.run { house in
            house.backplane.setJoins(.silent)
            let raw = try await RawClient.connect(port: house.port)
            try await raw.send(GatewayHouse.handshake("/ws/a"))
            try await waitUntil("the join") { house.backplane.waiting == 1 }
            #expect(house.server.connections == 1)
            await raw.close()
            try await waitUntil("nobody") { house.server.connections == 0 && house.backplane.memberships == 0 }
            house.backplane.release()
            house.backplane.setJoins(.willing)
            #expect(try await house.status("/ws/a") == 101)
        }
    }

    /// 4,000 messages of 16 KiB: more than all of the kernel's buffers between the two.
    private let large = ByteBuffer(string: #"{"t":""# + String(repeating: "x", count: 16_376) + #""}"#)

    @Test func `A client that never reads is cut, keeps little, and does not hold up the others`() async throws {
        try await GatewayHouse.run(change: { $0.slowSeconds = 1 }) { house in
            let frozen = try await house.connect("/ws/a", reads: false)
            let reader = try await house.connect("/ws/a")
            for _ in 0..<4000 { house.backplane.publish(large, to: "a") }
            let all = 4000 * (large.readableBytes + 4)
            try await waitUntil("everything at the reader: \(reader.raw.receivedCount) of \(all)") {
                reader.raw.receivedCount >= all
            }
            #expect(house.metric("tocsin_sessions_behind_total")! >= 1)
            await reader.close()
            // It is looked at when its ping is due.
            try await waitUntil("the slow one to be cut") {
                try await house.pass()
                return house.metric(#"tocsin_connections_cut_total{reason="slow"}"#) == 1
            }
            try await frozen.raw.startReading()
            try await frozen.waitForEnd()
            #expect(frozen.raw.receivedCount < all / 2, "what was kept for it is the kernel's buffers and 64 KiB")
            try await waitUntil("nobody") { house.server.connections == 0 && house.backplane.memberships == 0 }
        }
    }

    @Test func `A client that reads again in time gets everything, once and in order`() async throws {
        try await GatewayHouse.run { house in
            let slow = try await house.connect("/ws/a", reads: false)
            for number in 0..<2000 {
                house.backplane.publish(
                    #"{"n":\#(number),"t":""# + String(repeating: "x", count: 8_000) + #""}"#, to: "a")
            }
            try await waitUntil("it to fall behind") { house.metric("tocsin_sessions_behind_total")! >= 1 }
            try await slow.raw.startReading()
            #expect(try await slow.head().status == 101)
            for number in 0..<2000 {
                let text = try await slow.text()
                guard text.hasPrefix("{\"n\":\(number),") else {
                    Issue.record("\(number) was due, and this came: \(text.prefix(20))")
                    break
                }
            }
            try await slow.expectNothing()
            #expect(house.metric(#"tocsin_connections_cut_total{reason="slow"}"#) == 0)
        }
    }
}
