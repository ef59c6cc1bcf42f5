import Broker
import NIOCore
import NIOHTTP1
import Testing

@testable import Gateway

/// What pages of other origins may request and read.
struct CrossOriginTests {
    /// Accepts the token "good"; for "late" it is unavailable.
    private struct Login: Authenticator {
        var pageHeaders: [String] { ["x-api-key", "cookie", "authorization", "no name"] }
        func identify(_ request: LoginRequest) async throws(LoginFailure) -> Identity {
            switch request.headers["authorization"].first {
            case "Bearer good": return Identity(user: "42")
            case "Bearer late": throw .unavailable("nobody is there")
            default: throw .refused("no token")
            }
        }
    }

    private let page = "https://app.example"
    private let events = "Accept: text/event-stream"

    private func run(_ body: (GatewayHouse) async throws -> Void) async throws {
        let routes = try [
            GatewayHouse.route("/me", ["{user}"], auth: ["site"]), GatewayHouse.route("/ws/{room}", ["{room}"]),
        ]
        try await GatewayHouse.run(
            routes, hosts: ["https://app.example"], authenticators: { _ in ["site": Login()] },
            change: { $0.maximumConnectionsPerUser = 1 }, body)
    }

    private func request(_ first: String, _ lines: [String]) -> String {
        ([first + " HTTP/1.1", "Host: example.com"] + lines + ["", ""]).joined(separator: "\r\n")
    }

    private func preflight(_ path: String, origin: String) -> String {
        request(
            "OPTIONS \(path)",
            [
                "Origin: \(origin)", "Access-Control-Request-Method: GET",
                "Access-Control-Request-Headers: authorization,last-event-id",
            ])
    }

    /// Checks that a page may read the response.
    private func expectReadable(_ answer: HTTPText, _ sourceLocation: SourceLocation = #_sourceLocation) {
        #expect(answer.headers["access-control-allow-origin"] == page, "\(answer)", sourceLocation: sourceLocation)
        #expect(answer.headers["access-control-allow-credentials"] == "true", sourceLocation: sourceLocation)
        #expect(answer.headers["access-control-expose-headers"] == "Retry-After", sourceLocation: sourceLocation)
        #expect(answer.headers["vary"] == "Origin", sourceLocation: sourceLocation)
    }

    @Test func `A preflight for an allowed page says what it may send, whatever the path`() async throws {
        try await run { house in
            for path in ["/me", "/ws/a", "/nowhere"] {
                let answer = try await house.answer(preflight(path, origin: page))
                #expect(answer.status == 204)
                expectReadable(answer)
                #expect(answer.headers["access-control-allow-methods"] == "GET, POST")
                #expect(answer.headers["access-control-max-age"] == "7200")
                #expect(answer.headers["content-length"] == nil && answer.body.isEmpty)
                let list = answer.headers["access-control-allow-headers"] ?? ""
                let names = list.split(separator: ", ").map(String.init)
                #expect(Set(["authorization", "last-event-id", "cache-control"]).isSubset(of: names))
                #expect(names.filter { $0 == "authorization" }.count == 1)
                #expect(names.contains("x-api-key") == (path == "/me"), "what the route's login reads")
                #expect(!names.contains("cookie") && !names.contains("no name"))
            }
            #expect(house.metric("tocsin_connections_opened_total") == 0)
        }
    }

    @Test func `A preflight for another page is refused`() async throws {
        try await run { house in
            for origin in ["https://evil.example", "null", "https://app.example\r\nOrigin: https://app.example"] {
                let answer = try await house.answer(preflight("/me", origin: origin))
                #expect(answer.status == 403)
                #expect(!answer.headers.keys.contains { $0.hasPrefix("access-control-") })
            }
            #expect(house.refusals("origin") == 3)
        }
    }

    @Test func `An OPTIONS that asks for no page is 405`() async throws {
        try await run { house in
            let answer = try await house.answer(request("OPTIONS /me", ["Origin: \(page)"]))
            #expect(answer.status == 405 && answer.headers["allow"] == "GET")
            expectReadable(answer)
        }
    }

    @Test func `An allowed page can read why it was refused`() async throws {
        try await run { house async throws in
            let origin = "Origin: \(page)"
            func refusal(_ path: String, _ lines: String...) async throws -> HTTPText {
                try await house.answer(request("GET \(path)", [origin] + lines))
            }
            let cases: [(Int, HTTPText)] = try await [
                (403, refusal("/me", events)), (503, refusal("/me", events, "Authorization: Bearer late")),
                (404, refusal("/nowhere", events)), (426, refusal("/ws/a")), (400, refusal("/ws/a%20b", events)),
                (400, refusal("/ws/a", events, "Content-Length: 1")),
                (405, house.answer(request("POST /me", [origin]))),
            ]
            for (status, answer) in cases {
                #expect(answer.status == status)
                expectReadable(answer)
                if status == 503 { #expect(answer.headers["retry-after"] == "2") }
            }
            let first = try await house.connect("/me", [origin, "Authorization: Bearer good"])
            let second = try await refusal("/me", events, "Authorization: Bearer good")
            #expect(second.status == 429 && second.headers["retry-after"] != nil)
            expectReadable(second)
            await first.close()
        }
    }

    @Test func `Nobody else can: another Origin, several, none`() async throws {
        try await run { house in
            for lines in [["Origin: https://evil.example"], ["Origin: \(page)", "Origin: \(page)"], []] {
                let answer = try await house.answer(request("GET /nowhere", lines + [events]))
                #expect(answer.status == 404)
                #expect(!answer.headers.keys.contains { $0.hasPrefix("access-control-") }, "\(lines)")
                #expect(answer.headers["vary"] == "Origin", "a cache keeps them apart")
            }
        }
    }

    @Test func `The page of a stream that an operator has ended can read that it is to stay away`() async throws {
        try await run { house in
            let answer = try await house.answer(request("GET /ws/a?lastEventId=end", ["Origin: \(page)", events]))
            #expect(answer.status == 204)
            expectReadable(answer)
        }
    }

    @Test func `A callback's forwarded headers are those that a page may send for it`() async throws {
        var configuration = CallbackAuthenticator.Configuration(url: "http://127.0.0.1:1/")
        configuration.forward = ["cookie", "x-api-key"]
        try await GatewayHouse.run(authenticators: { http in
            let callback = CallbackAuthenticator(configuration, client: http)
            #expect(callback.pageHeaders == ["cookie", "x-api-key"])
            return ["site": callback, "lb": HeaderAuthenticator(header: "X-User", trusted: .none)]
        }) { _ in
            #expect(HeaderAuthenticator(header: "X-User", trusted: .none).pageHeaders.isEmpty)
        }
    }
}
