import Broker
import NIOCore
import TestSupport
import Testing

@testable import Gateway

/// Who is accepted, and what the others get.
struct AdmissionServerTests {
    @Test func `One more than the maximum is 503 and told when to come back; a place that is left is given again`()
        async throws
    {
        try await GatewayHouse.run(change: { $0.maximumConnections = 2 }) { house in
            let first = try await house.connect("/ws/a")
            let second = try await house.connect("/ws/a")
            let answer = try await house.answer(GatewayHouse.handshake("/ws/a"))
            #expect(answer.status == 503)
            #expect(Int(answer.headers["retry-after"] ?? "") ?? 0 > 0)
            #expect(house.refusals("full") == 1)
            #expect(house.server.connections == 2)
            await first.close()
            try await waitUntil("a place") { house.server.connections == 1 }
            #expect(try await house.status("/ws/a") == 101)
            await second.close()
        }
    }

    @Test func `Refused handshakes keep no place`() async throws {
        try await GatewayHouse.run(change: { $0.maximumConnections = 1 }) { house in
            for path in ["/nothing", "/ws/a:b", "/ws/%00"] {
                for _ in 0..<3 { _ = try await house.answer(GatewayHouse.handshake(path)) }
            }
            #expect(house.server.connections == 0)
            #expect(try await house.status("/ws/a") == 101)
        }
    }

    @Test func `While groups cannot be joined a handshake is 503, told when to come back, and nothing is left of it`()
        async throws
    {
        let routes = try [GatewayHouse.route("/ws/{room}", ["{room}", "all"])]
        try await GatewayHouse.run(routes) { house in
            house.backplane.setJoins(.unavailable)
            let answer = try await house.answer(GatewayHouse.handshake("/ws/a"))
            #expect(answer.status == 503)
            #expect(Int(answer.headers["retry-after"] ?? "") ?? 0 > 0)
            #expect(house.refusals("redis") == 1)
            house.backplane.setJoins(.refusing)
            #expect(try await house.answer(GatewayHouse.handshake("/ws/a")).status == 500)
            #expect(house.server.connections == 0 && house.backplane.memberships == 0)
            house.backplane.setJoins(.willing)
            #expect(try await house.status("/ws/a") == 101)
        }
    }

    private func withHeader(_ networks: [String], _ body: (GatewayHouse) async throws -> Void) async throws {
        let routes = try [GatewayHouse.route("/me", ["{user}isInsufficient"], auth: ["lb"])]
        let authenticator = HeaderAuthenticator(header: "X-Remote-User", trusted: try TrustedNetworks(networks))
        try await GatewayHouse.run(routes, authenticators: { _ in ["lb": authenticator] }, body)
    }

    @Test func `A header from a trusted network says who it is`() async throws {
        try await withHeader(["10.0.0.0/8", "127.0.0.0/8"]) { house async throws in
            let browser = try await house.connect("/me", ["x-remote-user: 42"])
            #expect(house.backplane.users(in: "42isInsufficient") == ["42"])
            house.backplane.publish("{}", to: "42isInsufficient")
            #expect(try await browser.text() == "{}")
        }
    }

    @Test func `Without the header, with two, or with an empty one nobody is let in`() async throws {
        try await withHeader(["127.0.0.0/8"]) { house async throws in
            for headers in [
                [], ["X-Remote-User:"], ["X-Remote-User: 42", "X-Remote-User: 43"], ["X-Remote-Users: 42"],
            ] {
                #expect(try await house.status("/me", headers) == 403, "\(headers)")
            }
            #expect(try await house.status("/me", ["X-Remote-User: no name"]) == 400)
            #expect(house.refusals("login") == 4)
            try await waitUntil("nobody") { house.server.connections == 0 }
        }
    }

    @Test func `The same header from anywhere else is not believed`() async throws {
        try await withHeader(["10.0.0.0/8", "::1"]) { house async throws in
            #expect(try await house.status("/me", ["X-Remote-User: 42", "X-Forwarded-For: 10.0.0.1"]) == 403)
            #expect(house.backplane.memberships == 0)
        }
    }

    private struct Fixed: Authenticator {
        let result: Result<Identity, LoginFailure>
        func identify(_ request: LoginRequest) async throws(LoginFailure) -> Identity { try result.get() }
    }

    @Test func `Of several logins the first that lets in counts, and "cannot be asked" beats "refused"`() async throws {
        let authenticators: [String: any Authenticator] = [
            "yes": Fixed(result: .success(Identity(user: "1"))), "also": Fixed(result: .success(Identity(user: "2"))),
            "no": Fixed(result: .failure(.refused("no"))), "down": Fixed(result: .failure(.unavailable("down"))),
        ]
        let chains: [([String], Int)] = [
            (["yes", "also"], 101), (["no", "yes"], 101), (["down", "yes"], 101), (["no", "down"], 503),
            (["down", "no"], 503),
            (["no"], 403), (["no", "no"], 403), (["missing"], 403),
        ]
        let routes = try chains.enumerated().map {
            try GatewayHouse.route("/r/\($0 == 0 ? "zero" : String($0))", ["{user}"], auth: $1.0)
        }
        try await GatewayHouse.run(routes, authenticators: { _ in authenticators }) { house async throws in
            for (index, chain) in chains.enumerated() {
                #expect(try await house.status(routes[index].path.text) == chain.1, "\(chain)")
            }
            let browser = try await house.connect("/r/zero")
            #expect(house.backplane.users(in: "1") == ["1"])
            await browser.close()
        }
    }

    @Test func `The Origin is looked at before anybody is asked who it is`() async throws {
        let routes = try [GatewayHouse.route("/me", ["{user}"], auth: ["down"])]
        let down = Fixed(result: .failure(.unavailable("nobody may ask")))
        try await GatewayHouse.run(routes, hosts: ["app.example"], authenticators: { _ in ["down": down] }) {
            house async throws in
            #expect(try await house.status("/me", ["Origin: https://evil.example"]) == 403)
            #expect(try await house.status("/me", ["Origin: https://app.example"]) == 503)
            #expect(house.refusals("login_unavailable") == 1)
        }
    }
}
