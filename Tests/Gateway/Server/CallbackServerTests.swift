import AsyncHTTPClient
import NIOCore
import NIOHTTP1
import NIOPosix
import TestSupport
import Testing

@testable import Gateway

/// `kind: callback`, with a site in this process.
struct CallbackServerTests {
    private func run(
        _ reply: @escaping @Sendable (HTTPRequestHead, Int) -> TinySite.Reply,
        _ change: @escaping (inout CallbackAuthenticator.Configuration) -> Void = { _ in },
        _ body: (GatewayHouse, TinySite) async throws -> Void
    ) async throws {
        try await TinySite.run(reply) { site, url in
            var configuration = CallbackAuthenticator.Configuration(url: url)
            configuration.timeout = .seconds(30)
            change(&configuration)
            let routes = try [GatewayHouse.route("/me", ["{user}isInsufficient"], auth: ["site"])]
            try await GatewayHouse.run(
                routes, authenticators: { ["site": CallbackAuthenticator(configuration, client: $0)] }
            ) { house async throws in try await body(house, site) }
        }
    }

    @Test(arguments: [
        (#"{"user":"42"}"#, "42"), (#"{"user":42}"#, "42"), (#"{"user":12345678901234567890}"#, "12345678901234567890"),
        (#"{"user":"a.b-c_D"}"#, "a.b-c_D"),
        (#"{"x":{"user":"no"},"user":"42","expires_at":4102444800,"info":{"a":1}}"#, "42"),
        (" {\n\"user\" : \"42\" } ", "42"), (#"{"user":"\u0034\u0032"}"#, "42"),
        (#"{"user":"42","groups":null}"#, "42"),
    ])
    func `200 with a user lets in as that user, a number as its text`(body: String, user: String) async throws {
        try await run({ _, _ in .answer(.ok, body) }) { house, _ in
            let browser = try await house.connect("/me")
            #expect(house.backplane.users(in: "\(user)isInsufficient") == [user])
            await browser.close()
        }
    }

    @Test func `The site's groups are joined beside the route's, once each`() async throws {
        let body = #"{"user":"42","groups":["news","42isInsufficient","news","staff"]}"#
        try await run({ _, _ in .answer(.ok, body) }) { house, _ in
            let browser = try await house.connect("/me")
            #expect(house.backplane.memberships == 3)
            for group in ["news", "staff", "42isInsufficient"] {
                house.backplane.publish("{\"to\":\"\(group)\"}", to: group)
                #expect(try await browser.text() == "{\"to\":\"\(group)\"}")
            }
            try await browser.expectNothing()
        }
    }

    @Test(
        arguments: [("1795351382", 1_795_351_382), ("1795351382.25", 1_795_351_383), ("null", nil)]
            as [(String, Int64?)])
    func `The site says when the login ends`(value: String, end: Int64?) async throws {
        try await TinySite.run({ _, _ in .answer(.ok, #"{"user":"42","expires_at":\#(value)}"#) }) {
            _, url async throws in
            let client = HTTPClient(eventLoopGroup: MultiThreadedEventLoopGroup.singleton)
            let outcome = await CallbackAuthenticator(.init(url: url), client: client).outcome(LoginRequest())
            try await client.shutdown()
            #expect(try outcome.get().expiresAt == end)
        }
    }

    @Test(arguments: [(HTTPResponseStatus.unauthorized, 403), (.forbidden, 403)])
    func `401 and 403 refuse, whatever they say`(status: HTTPResponseStatus, answer: Int) async throws {
        try await run({ _, _ in .answer(status, #"{"user":"42"}"#) }) { house, _ async throws in
            #expect(try await house.status("/me") == answer)
            #expect(house.refusals("login") == 1)
        }
    }

    @Test(arguments: [
        HTTPResponseStatus.created, .noContent, .movedPermanently, .found, .badRequest, .notFound, .tooManyRequests,
        .internalServerError, .badGateway, .serviceUnavailable,
    ])
    func `Any other status is 503: nobody could say`(status: HTTPResponseStatus) async throws {
        let body = status == .noContent ? "" : #"{"user":"42"}"#
        try await run({ _, _ in .answer(status, body) }) { house, site in
            let answer = try await house.answer(GatewayHouse.handshake("/me"))
            #expect(answer.status == 503)
            #expect(answer.headers["retry-after"] != nil)
            #expect(site.requests.count == 1, "a redirection is not followed")
        }
    }

    @Test(arguments: [
        "", "hello", "[]", #""42""#, "null", "{", "{}", #"{"user":null}"#, #"{"user":""}"#, #"{"user":["42"]}"#,
        #"{"user":{"id":42}}"#,
        #"{"user":true}"#, #"{"user":false}"#, #"{"USER":"42"}"#, #"{"user":"42","groups":["a b"]}"#,
        #"{"user":"42","groups":"news"}"#,
        #"{"user":"42","expires_at":"tomorrow"}"#, #"{"user":"42","expires_at":1790000000000}"#,
        #"{"user":"42","groups":[1]}"#, #"{"user":"42"}{}"#, #"{"user":"42\#u{0}"}"#,
    ])
    func `200 with something else than a user is 503`(body: String) async throws {
        try await run({ _, _ in .answer(.ok, body) }) { house, _ async throws in
            #expect(try await house.status("/me") == 503)
            #expect(house.refusals("login_unavailable") == 1)
        }
    }

    @Test func `An answer of more than 64 KiB is 503`() async throws {
        let body = #"{"user":"42","x":""# + String(repeating: "x", count: 64 << 10) + #""}"#
        try await run({ _, _ in .answer(.ok, body) }) { house, _ async throws in
            #expect(try await house.status("/me") == 503)
        }
    }

    @Test(arguments: [TinySite.Reply.silence, .headThenSilence])
    func `A site that does not answer in time is 503, also when it had begun to`(reply: TinySite.Reply) async throws {
        try await run({ _, _ in reply }, { $0.timeout = .milliseconds(300) }) { house, _ async throws in
            #expect(try await house.status("/me") == 503)
            #expect(house.refusals("login_unavailable") == 1)
        }
    }

    @Test func `A site that is not there is 503`() async throws {
        let port = try RedisServer.freePort()
        try await run({ _, _ in .silence }, { $0.url = "http://127.0.0.1:\(port)/" }) { house, _ async throws in
            #expect(try await house.status("/me") == 503)
        }
    }

    @Test func `The site is sent one Cookie header, in however many the cookies came`() async throws {
        try await run({ _, _ in .answer(.ok, #"{"user":"7"}"#) }, { $0.cache = .seconds(60) }) { house, site in
            let pieces = try await house.connect("/me", ["Cookie: theme=dark", "Cookie:", "Cookie: sessionid=abc"])
            let whole = try await house.connect("/me", ["Cookie: theme=dark; sessionid=abc"])
            #expect(site.requests.map { $0.headers["cookie"] } == [["theme=dark; sessionid=abc"]])
            await pieces.close()
            await whole.close()
        }
    }

    @Test func `The site is asked with the browser's credentials, and told for whom`() async throws {
        let change = { (configuration: inout CallbackAuthenticator.Configuration) in
            configuration.forward = ["cookie", "authorization"]
            configuration.userKey = "userId"
        }
        try await run({ _, _ in .answer(.ok, #"{"user":"no","userId":7}"#) }, change) { house, site in
            let headers = [
                "Cookie: sessionid=abc; a=b", "Authorization: Bearer xyz", "Origin: https://app.example",
                "X-Forwarded-For: 203.0.113.9",
                "X-Secret: keep",
            ]
            let browser = try await house.connect("/me?x=1", headers)
            #expect(house.backplane.users(in: "7isInsufficient") == ["7"])
            let head = try #require(site.requests.first)
            #expect(head.method == .GET && head.uri == "/ws-auth")
            #expect(head.headers["cookie"] == ["sessionid=abc; a=b"])
            #expect(head.headers["authorization"] == ["Bearer xyz"])
            #expect(head.headers["origin"] == ["https://app.example"])
            #expect(head.headers["x-forwarded-for"] == ["203.0.113.9, 127.0.0.1"])
            #expect(head.headers["x-original-uri"] == ["/me?x=1"])
            #expect(head.headers["x-secret"].isEmpty && head.headers["upgrade"].isEmpty)
            await browser.close()
        }
    }
}
