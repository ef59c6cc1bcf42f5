import Broker
import TestSupport
import Testing

@testable import Gateway

/// The end of a gateway, announced. That its clients go one after the other: ClientLifeTests.
struct DrainTests {
    @Test func `A drain closes everybody with 1012, and takes nobody new`() async throws {
        try await GatewayHouse.run(change: { $0.drainSeconds = 2 }) { house in
            var browsers: [Browser] = []
            for number in 0..<40 { browsers.append(try await house.connect("/ws/room-\(number)")) }
            let draining = Task { await house.server.drain() }
            try await waitUntil("a refusal") { (try? await house.status("/ws/a")) == 503 }
            #expect((house.refusals("draining") ?? 0) > 0)
            for browser in browsers {
                let close = try await browser.frame()
                #expect(close.closeCode == 1012)
                #expect(close.closeReason.hasPrefix("the gateway restarts; reconnect in "))
                try? await browser.send(.close(1012))
                try await browser.waitForEnd()
            }
            await draining.value
            #expect(house.server.connections == 0)
            #expect(house.backplane.memberships == 0)
            await #expect(throws: (any Error).self) { try await RawClient.connect(port: house.port) }
        }
    }

    @Test func `A drain ends when its time is over, whoever is left`() async throws {
        try await GatewayHouse.run(change: { ($0.drainSeconds, $0.pongSeconds) = (1, 30) }) { house in
            let stubborn = try await house.connect("/ws/a", keepsOpen: true)
            await house.server.drain()
            #expect(try await stubborn.closeCode() == 1012)
            #expect(house.server.connections == 0)
        }
    }

    @Test func `A drain without anybody, or without time, ends at once`() async throws {
        try await GatewayHouse.run(change: { $0.drainSeconds = 0 }) { house in
            let browser = try await house.connect("/ws/a")
            await house.server.drain()
            await browser.close()
        }
        try await GatewayHouse.run(change: { $0.drainSeconds = 1 }) { house in await house.server.drain() }
    }

    @Test func `An address that is taken is named`() async throws {
        try await GatewayHouse.run { house in
            let error = await #expect(throws: GatewayError.self) {
                try await GatewayHouse.run(change: { $0.bind.port = house.port }) { _ in }
            }
            #expect(error?.description.contains("cannot listen on 127.0.0.1:\(house.port)") == true)
        }
    }
}
