import Broker
import NIOCore
import NIOHTTP1
import Testing

@testable import Gateway

/// Logins as clients see them: tokens and claims at a real port.
struct LoginServerTests {
    private let vectors = LoginVectors.all

    /// Ignores the expiry of the vectors' tokens, which were valid at the vectors' time, not at the gateway's.
    private struct Endless: Authenticator {
        var login: any Authenticator
        func identify(_ request: LoginRequest) async throws(LoginFailure) -> Identity {
            var identity = try await login.identify(request)
            identity.expiresAt = nil
            return identity
        }
    }

    private func run(_ groups: [String], _ body: (GatewayHouse) async throws -> Void) async throws {
        let login = vectors.login(try vectors.key("secret", "HS256"))
        let routes = try [GatewayHouse.route("/me", groups, auth: ["token"])]
        try await GatewayHouse.run(routes, authenticators: { _ in ["token": Endless(login: login)] }) {
            house async throws in
            try await body(house)
        }
    }

    @Test func `A token opens the route, and its claims name groups`() async throws {
        try await run(["{user}.inbox", "team.{claims.team}.{claims.level}"]) { house async throws in
            let browser = try await house.connect("/me?token=\(vectors.accepted[0].token)")
            for group in ["42.inbox", "team.red.3", "news", "staff.1"] {
                #expect(house.backplane.users(in: group) == ["42"], "\(group)")
            }
            await browser.close()
        }
    }

    @Test func `Whatever is wrong, the client is told the same`() async throws {
        try await run(["{user}.inbox"]) { house async throws in
            let tokens = vectors.refused.filter { $0.algorithm == "HS256" }.map(\.token)
            for token in tokens where !token.contains("\n") && !token.hasSuffix(" ") {
                let answer = try await house.answer(
                    GatewayHouse.handshake("/me", ["Authorization: Bearer \(token.isEmpty ? "x" : token)"]))
                #expect(answer.status == 403)
                #expect(answer.body.contains("not logged in") && !answer.body.contains("token"))
            }
            let none = try await house.answer(GatewayHouse.handshake("/me"))
            #expect(none.status == 403)
        }
    }

    @Test func `A claim that a token lacks makes no group`() async throws {
        try await run(["x{claims.nothing}"]) { house async throws in
            #expect(try await house.status("/me?token=\(vectors.accepted[0].token)") == 400)
            #expect(house.backplane.memberships == 0)
        }
    }
}
