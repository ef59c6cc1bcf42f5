import Broker
import NIOCore
import TestSupport
import Testing

@testable import Gateway

/// Clients that are fed from the log.
struct CatchingUpTests {
    private func stream(_ house: GatewayHouse, since: String, reads: Bool = true) async throws -> RawClient {
        let raw = try await RawClient.connect(port: house.port, reads: reads)
        try await raw.send(
            "GET /ws/a HTTP/1.1\r\nHost: example.com\r\nAccept: text/event-stream\r\nLast-Event-ID: \(since)\r\n\r\n")
        return raw
    }

    @Test func `A client that goes gives up the page that it waits for`() async throws {
        try await GatewayHouse.run { house in
            house.backplane.publish(#"{"n":1}"#, to: "a")
            house.backplane.setReads(.silent)
            let raw = try await stream(house, since: "e.a:0")
            try await waitUntil("the read") { house.backplane.readsWaiting == 1 }
            await raw.close()
            try await waitUntil("nobody who waits") { house.backplane.readsWaiting == 0 }
            try await waitUntil("nobody") { house.server.connections == 0 && house.backplane.memberships == 0 }
        }
    }

    @Test func `A centrifuge client that goes gives up the history that it waits for`() async throws {
        let route = try Route(
            path: PathTemplate("/rooms"), groups: [], clientProtocol: .centrifuge,
            mayJoin: [try GroupTemplate("room.*", isPattern: true)])
        try await GatewayHouse.run([route]) { house in
            house.backplane.publish(#"{"n":1}"#, to: "room.1")
            let browser = try await house.connect("/rooms")
            try await browser.send(.text(#"{"id":1,"connect":{}}"#))
            _ = try await browser.text()
            house.backplane.setReads(.silent)
            try await browser.send(.text(#"{"id":2,"history":{"channel":"room.1","limit":10}}"#))
            try await waitUntil("the read") { house.backplane.readsWaiting == 1 }
            await browser.close()
            try await waitUntil("nobody who waits") { house.backplane.readsWaiting == 0 }
            try await waitUntil("nobody") { house.server.connections == 0 }
        }
    }

    @Test func `A page is asked for when the socket has room, and no longer than the room`() async throws {
        try await GatewayHouse.run { house in
            let count = 1500, padding = String(repeating: "x", count: 16 << 10)
            for number in 1...count { house.backplane.publish("{\"n\":\(number),\"pad\":\"\(padding)\"}", to: "a") }
            let raw = try await stream(house, since: "e.a:0", reads: false)
            // The kernel's buffers fill, then nothing more is asked for, however often everybody has had a turn.
            var asked = 0, quietTurns = 0
            try await waitUntil("a full socket") {
                try await house.settle()
                let now = house.backplane.readBytes.count
                quietTurns = now > 0 && now == asked ? quietTurns + 1 : 0
                asked = now
                return quietTurns == 20
            }
            #expect(house.backplane.readBytes.allSatisfy { (1...64 << 10).contains($0) })
            let given = house.backplane.readBytes.reduce(0, +)
            #expect(given < count * (16 << 10), "not the whole log")
            try await raw.startReading()
            try await waitUntil("all messages") { raw.receivedCount >= count * (16 << 10) }
            try await waitUntil("the last one") {
                String(decoding: raw.received.suffix(17 << 10), as: UTF8.self).contains("id: e.a:\(count)\n")
            }
            let text = String(decoding: raw.received, as: UTF8.self)
            let numbers = text.matches(of: /"n":(\d+)/).map { Int($0.1) }
            #expect(numbers == Array(1...count))
            let reads = house.backplane.readBytes.count
            #expect(reads < count / 2, "\(reads) reads of \(count) messages")
            await raw.close()
        }
    }
}
