import Broker
import NIOCore
import TestSupport
import Testing

@testable import Gateway

/// Limits on a client, an address and a user, and the responses beyond them.
struct LimitServerTests {
    private func refusal(_ answer: HTTPText, _ status: Int) {
        #expect(answer.status == status)
        #expect(Int(answer.headers["retry-after"] ?? "") ?? 0 > 0)
    }

    @Test func `One more of an address than it may have is 429, and a place that is left is given again`() async throws
    {
        try await GatewayHouse.run(change: { $0.maximumConnectionsPerAddress = 2 }) { house in
            let first = try await house.connect("/ws/a")
            let second = try await house.connect("/ws/b")
            refusal(try await house.answer(GatewayHouse.handshake("/ws/a")), 429)
            #expect(house.refusals("address_full") == 1 && house.server.connections == 2)
            await first.close()
            try await waitUntil("a place") { house.server.connections == 1 }
            #expect(try await house.status("/ws/a") == 101)
            await second.close()
        }
    }

    @Test func `One more of a user than he may have is 429, and others are let in`() async throws {
        let routes = try [GatewayHouse.route("/me", ["{user}"], auth: ["lb"])]
        let login = HeaderAuthenticator(header: "X-User", trusted: try TrustedNetworks(["127.0.0.1"]))
        try await GatewayHouse.run(
            routes, authenticators: { _ in ["lb": login] }, change: { $0.maximumConnectionsPerUser = 1 }
        ) { house async throws in
            let first = try await house.connect("/me", ["X-User: 42"])
            refusal(try await house.answer(GatewayHouse.handshake("/me", ["X-User: 42"])), 429)
            #expect(house.refusals("user_full") == 1 && house.server.connections == 1)
            #expect(try await house.status("/me", ["X-User: 43"]) == 101)
            await first.close()
            try await waitUntil("a place") { house.server.connections == 0 }
            #expect(try await house.status("/me", ["X-User: 42"]) == 101)
        }
    }

    @Test func `A handshake that fails gives the user's place back`() async throws {
        let routes = try [GatewayHouse.route("/me", ["{user}"], auth: ["lb"])]
        let login = HeaderAuthenticator(header: "X-User", trusted: try TrustedNetworks(["127.0.0.1"]))
        try await GatewayHouse.run(
            routes, authenticators: { _ in ["lb": login] }, change: { $0.maximumConnectionsPerUser = 1 }
        ) { house async throws in
            house.backplane.setJoins(.unavailable)
            for _ in 0..<3 { #expect(try await house.status("/me", ["X-User: 42"]) == 503) }
            house.backplane.setJoins(.willing)
            #expect(try await house.status("/me", ["X-User: 42"]) == 101)
        }
    }

    @Test func `More handshakes in a second than allowed are 503, and told when to come back`() async throws {
        try await GatewayHouse.run(change: { $0.maximumHandshakesPerSecond = 2 }) { house in
            var heads: [HTTPText] = []
            for _ in 0..<10 {
                let raw = try await RawClient.connect(port: house.port)
                try await raw.send(GatewayHouse.handshake("/ws/a"))
                heads.append(try await Browser(raw: raw).head())
                await raw.close()
            }
            #expect(heads.prefix(2).map(\.status) == [101, 101])
            let refused = heads.filter { $0.status != 101 }
            #expect(refused.count > 0 && house.refusals("rate") == refused.count)
            for head in refused { refusal(head, 503) }
        }
    }

    @Test func `200 connections against a limit of 100: every other is refused, and those inside notice nothing`()
        async throws
    {
        try await GatewayHouse.run(change: { $0.maximumConnections = 100 }) { house in
            var inside: [Browser] = []
            for _ in 0..<100 { inside.append(try await house.connect("/echo/a")) }
            for _ in 0..<100 { refusal(try await house.answer(GatewayHouse.handshake("/ws/a")), 503) }
            #expect(house.refusals("full") == 100 && house.server.connections == 100)
            for browser in inside {
                try await browser.send(.text("x"))
                #expect(try await browser.text() == "\"x\"")
            }
        }
    }

    @Test(arguments: ["text", "ping", "pong", "binary"])
    func `Who sends more messages in a second than allowed is closed with 4429, whatever they are`(
        kind: String
    ) async throws {
        let routes = try [GatewayHouse.route("/ws/{room}", ["{room}"], receive: .mirror)]
        try await GatewayHouse.run(routes, change: { $0.maximumMessagesPerSecond = 5 }) { house async throws in
            let opcode: UInt8 = ["text": 1, "binary": 2, "ping": 9, "pong": 10][kind]!
            let flooder = try await house.connect("/ws/a")
            let other = try await house.connect("/ws/a")
            let frame = FrameMaker(opcode: opcode, payload: [65])
            try await flooder.raw.send((0..<30).flatMap { _ in frame.bytes })
            #expect(try await flooder.closeCode() == 4429)
            #expect(house.metric(#"tocsin_connections_cut_total{reason="rate"}"#) == 1)
            // A burst of twice the rate is allowed.
            for _ in 0..<10 { try await other.send(.text("x")) }
            for _ in 0..<10 { #expect(try await other.text() == "x") }
        }
    }

    @Test func `A login that names more groups than a connection may join is refused`() async throws {
        struct Generous: Authenticator {
            func identify(_ request: LoginRequest) async throws(LoginFailure) -> Identity {
                Identity(user: "1", groups: ["a", "b", "c"].map { try! GroupName($0) })
            }
        }
        let routes = try [GatewayHouse.route("/me", ["{user}"], auth: ["site"])]
        try await GatewayHouse.run(
            routes, authenticators: { _ in ["site": Generous()] }, change: { $0.maximumGroups = 3 }
        ) { house async throws in
            #expect(try await house.status("/me") == 403)
            #expect(house.refusals("groups") == 1 && house.server.connections == 0)
        }
    }

    /// S10 at a small scale.
    @Test func `200 handshakes that never come to their end do not hold up another client`() async throws {
        try await GatewayHouse.run(change: { $0.handshakeSeconds = 60 }) { house in
            var slow: [RawClient] = []
            for _ in 0..<200 {
                let raw = try await RawClient.connect(port: house.port)
                try await raw.send("GET /ws/a HTTP/1.1\r\nHost: exam")
                slow.append(raw)
            }
            _ = try await house.connect("/ws/a")
            // It was accepted before any of them ended, not after a time-out.
            #expect(slow.allSatisfy { !$0.isEnded })
            for raw in slow { await raw.close() }
        }
    }
}
