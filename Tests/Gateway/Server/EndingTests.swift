import Broker
import Foundation
import NIOCore
import NIOHTTP1
import TestSupport
import Testing

@testable import Gateway

/// Connections ended by an operator, or by the expiry of their login.
struct EndingTests {
    /// Accepts the user named in the header, for this many seconds.
    private struct Login: Authenticator {
        var seconds: Int?
        func identify(_ request: LoginRequest) async throws(LoginFailure) -> Identity {
            Identity(
                user: request.headers["x-user"].first ?? "",
                expiresAt: seconds.map { Int64(clamping: Int(Date().timeIntervalSince1970) + $0) })
        }
    }

    private func run(seconds: Int? = nil, _ body: (GatewayHouse) async throws -> Void) async throws {
        let routes = try [
            GatewayHouse.route("/me", ["{user}"], auth: ["site"]),
            Route(
                path: PathTemplate("/rooms"), groups: [], authentication: ["site"], receive: .ignore,
                clientProtocol: .centrifuge, mayJoin: [GroupTemplate("*", isPattern: true)]),
        ]
        try await GatewayHouse.run(routes, authenticators: { _ in ["site": Login(seconds: seconds)] }, body)
    }

    private func stream(_ house: GatewayHouse, _ headers: [String] = []) async throws -> RawClient {
        let raw = try await RawClient.connect(port: house.port)
        let lines = ["GET /me HTTP/1.1", "Host: example.com", "Accept: text/event-stream"] + headers + ["", ""]
        try await raw.send(lines.joined(separator: "\r\n"))
        return raw
    }

    private func connected(_ browser: Browser) async throws {
        try await browser.send(.text(#"{"id":1,"connect":{}}"#))
        #expect(try await browser.text().contains("\"connect\""))
    }

    @Test func `A user's connections end with words that keep them away; others stay`() async throws {
        try await run { house async throws in
            let mine = [try await house.connect("/me", ["X-User: 42"]), try await house.connect("/me", ["X-User: 42"])]
            let rooms = try await house.connect("/rooms", ["X-User: 42"])
            try await connected(rooms)
            let events = try await stream(house, ["X-User: 42"])
            let other = try await house.connect("/me", ["X-User: 43"])
            try await waitUntil("all of them") { house.metric("tocsin_connections") == 5 }
            house.backplane.everywhere(.end(.user("42")))
            for browser in mine {
                let frame = try await browser.frame()
                #expect(frame.closeCode == 4401 && frame.closeReason == "ended by the operator")
            }
            #expect(try await rooms.closeCode() == 3503)
            let text = try await events.rest()
            #expect(text.hasSuffix("id: end\nevent: end\ndata: {\"reason\":\"ended by the operator\"}\n\n"))
            #expect(house.metric(#"tocsin_connections_cut_total{reason="revoked"}"#) == 4)
            house.backplane.publish("{}", to: "43")
            #expect(try await other.text() == "{}")
            // A user whom the login still accepts can reconnect.
            #expect(try await house.status("/me", ["X-User: 42"]) == 101)
        }
    }

    @Test func `An EventSource that was told to stay away is answered 204 when it comes back by itself`() async throws {
        try await run { house async throws in
            let text = try await stream(
                house, ["X-User: 42", "Last-Event-ID: end", "Origin: http://example.com"]
            ).rest()
            #expect(text.hasPrefix("HTTP/1.1 204 No Content\r\n") && text.hasSuffix("\r\n\r\n"))
            #expect(text.contains("Access-Control-Allow-Origin: http://example.com\r\n"))
            #expect(!text.contains("Content-Length"))
            #expect(house.refusals("ended") == 1)
        }
    }

    @Test func `One connection ends by its number`() async throws {
        try await run { house async throws in
            let id = ConnectionID.random()
            let stays = try await house.connect("/me", ["X-User: 42"])
            house.backplane.everywhere(.end(.connection(id)))
            let known = try #require(house.backplane.connections(in: "42").first)
            let goes = try await house.connect("/me", ["X-User: 42"])
            let other = try #require(house.backplane.connections(in: "42").first { $0 != known })
            house.backplane.everywhere(.end(.connection(other)))
            #expect(try await goes.closeCode() == 4401)
            house.backplane.publish("{}", to: "42")
            #expect(try await stays.text() == "{}")
        }
    }

    @Test func `A handshake that is under way when its user's connections end does not slip through`() async throws {
        try await run { house async throws in
            house.backplane.setJoins(.silent)
            let raw = try await RawClient.connect(port: house.port)
            try await raw.send(GatewayHouse.handshake("/me", ["X-User: 42"]))
            try await waitUntil("the join") { house.backplane.waiting == 1 }
            house.backplane.everywhere(.end(.user("42")))
            // After the request to end, on every loop.
            try await house.settle()
            house.backplane.release()
            #expect(try await Browser(raw: raw).head().status == 403)
            #expect(house.server.connections == 0 && house.backplane.memberships == 0)
        }
    }

    @Test func `When the login ends, the connection does, and is told`() async throws {
        try await run(seconds: 1) { house async throws in
            let plain = try await house.connect("/me", ["X-User: 42"])
            let rooms = try await house.connect("/rooms", ["X-User: 42"])
            try await connected(rooms)
            let events = try await stream(house, ["X-User: 42"])
            let frame = try await plain.frame()
            #expect(frame.closeCode == 4401 && frame.closeReason == "login expired")
            #expect(try await rooms.closeCode() == 3005)
            // It reconnects by itself, with its cursor, and the login decides.
            #expect(try await !events.rest().contains("event: end"))
            #expect(house.metric(#"tocsin_connections_cut_total{reason="expired"}"#) == 3)
        }
    }

    @Test func `A login that has ended already lets nobody in`() async throws {
        try await run(seconds: -1) { house async throws in
            #expect(try await house.status("/me", ["X-User: 42"]) == 403)
            #expect(house.refusals("login") == 1 && house.server.connections == 0)
        }
    }

    @Test(arguments: [3600, 1_000_000_000_000, Int.max / 2])
    func `A login that ends later ends nothing now`(seconds: Int) async throws {
        try await run(seconds: seconds) { house async throws in
            let plain = try await house.connect("/me", ["X-User: 42"])
            house.backplane.publish("{}", to: "42")
            #expect(try await plain.text() == "{}")
        }
    }
}
