import NIOCore
import NIOHTTP1
import TestSupport
import Testing

@testable import Gateway

/// How many requests a site gets.
struct CallbackSharingTests {
    private func run(
        _ reply: @escaping @Sendable (HTTPRequestHead, Int) -> TinySite.Reply, cache: TimeAmount = .hours(1),
        _ body: (GatewayHouse, TinySite) async throws -> Void
    ) async throws {
        try await TinySite.run(reply) { site, url in
            var configuration = CallbackAuthenticator.Configuration(url: url)
            (configuration.timeout, configuration.cache) = (.seconds(30), cache)
            let shared = configuration
            let routes = try [GatewayHouse.route("/me", ["{user}"], auth: ["site"])]
            try await GatewayHouse.run(
                routes, authenticators: { ["site": CallbackAuthenticator(shared, client: $0)] }
            ) { house async throws in try await body(house, site) }
        }
    }

    @Test func `Twenty handshakes at once with the same cookie are one question`() async throws {
        try await run({ _, _ in .held(#"{"user":"42"}"#) }) { house, site in
            var browsers: [Browser] = []
            for _ in 0..<20 {
                let raw = try await RawClient.connect(port: house.port)
                try await raw.send(GatewayHouse.handshake("/me", ["Cookie: sessionid=abc"]))
                browsers.append(Browser(raw: raw))
            }
            try await waitUntil("twenty handshakes") { house.server.connections == 20 && site.requests.count >= 1 }
            site.release()
            for browser in browsers { #expect(try await browser.head().status == 101) }
            #expect(site.requests.count == 1)
            #expect(house.backplane.users(in: "42").count == 20)
            for browser in browsers { await browser.close() }
        }
    }

    @Test func `A yes is kept for a while: the next handshake asks nobody`() async throws {
        try await run({ _, _ in .answer(.ok, #"{"user":"42"}"#) }) { house, site async throws in
            for _ in 0..<5 { #expect(try await house.status("/me", ["Cookie: a"]) == 101) }
            #expect(site.requests.count == 1)
        }
    }

    @Test func `Other credentials, another address or another Origin are another question`() async throws {
        try await run({ head, _ in .answer(.ok, #"{"user":"\#(head.headers["cookie"].first ?? "nobody")"}"#) }) {
            house, site in
            let questions: [(String, [String])] = [
                ("/me", ["Cookie: a"]), ("/me", ["Cookie: b"]), ("/me", []), ("/me?x", ["Cookie: a"]),
                ("/me", ["Cookie: a", "Authorization: c"]), ("/me", ["Cookie: a", "Origin: https://x"]),
            ]
            for (path, headers) in questions + questions {
                let browser = try await house.connect(path, headers)
                #expect(house.backplane.users(in: headers.first.map { String($0.last!) } ?? "nobody").count == 1)
                await browser.close()
                try await waitUntil("nobody") { house.backplane.memberships == 0 }
            }
            #expect(site.requests.count == questions.count)
        }
    }

    @Test func `A no and a failure are not kept`() async throws {
        let replies: [TinySite.Reply] = [
            .answer(.forbidden, ""), .answer(.internalServerError, ""), .answer(.ok, "rubbish"),
            .answer(.ok, #"{"user":"42"}"#),
        ]
        try await run({ _, count in replies[min(count - 1, 3)] }) { house, site async throws in
            for status in [403, 503, 503, 101, 101] { #expect(try await house.status("/me", ["Cookie: a"]) == status) }
            #expect(site.requests.count == 4)
        }
    }

    @Test func `Without a cache each handshake asks`() async throws {
        try await run({ _, count in .answer(.ok, #"{"user":"\#(count)"}"#) }, cache: .zero) { house, site in
            for count in 1...3 {
                let browser = try await house.connect("/me")
                #expect(house.backplane.users(in: "\(count)") == ["\(count)"])
                await browser.close()
            }
            #expect(site.requests.count == 3)
        }
    }
}
