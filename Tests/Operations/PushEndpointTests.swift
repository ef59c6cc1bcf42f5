import Broker
import Escalation
import NIOCore
import Testing

@testable import Operations

/// Push subscriptions over HTTP.
struct PushEndpointTests {
    private typealias House = AdminServerTests.House

    private static let path = "/v1/users/42/push-subscriptions"
    private static let point =
        "BI5TO2-gv3tGJbswZnwB-2B--fi4qA_vWzAGKHAxh7Kjc-sdveAzGDZtBp-DpvWQAFPHNjPLBBshxV4ahsH0ALQ"
    private static let auth = "MDEyMzQ1Njc4OWFiY2RlZg"

    private static func body(
        _ endpoint: String = "https://push.example/a", p256dh: String = point, auth: String = auth
    ) -> String {
        #"{"endpoint":"\#(endpoint)","expirationTime":null,"keys":{"p256dh":"\#(p256dh)","auth":"\#(auth)"}}"#
    }

    @Test func `A browser's subscription is kept under its endpoint's digest, and found again by the endpoint`()
        async throws
    {
        try await AdminServerTests.run { house async throws in
            for _ in 1...2 {
                let answer = try await house.post(Self.path, Self.body(), method: "PUT")
                #expect(answer.hasPrefix("HTTP/1.1 200 "))
                #expect(House.body(answer) == #"{"id":"378f13c84514cc9b","subscriptions":1}"#)
            }
            let kept = try #require(house.fleet.subscriptions["378f13c84514cc9b"])
            #expect(
                String(buffer: kept.json)
                    == #"{"endpoint":"https://push.example/a","keys":{"p256dh":"\#(Self.point)","auth":"\#(Self.auth)"}}"#
            )
            let removed = #"{"id":"378f13c84514cc9b","removed":true}"#
            let query = "\(Self.path)?endpoint=https%3A%2F%2Fpush.example%2Fa"
            #expect(House.body(try await house.read(query, method: "DELETE")) == removed)
            #expect(House.body(try await house.read(query, method: "DELETE")).hasSuffix(#""removed":false}"#))
            _ = try await house.post(Self.path, Self.body(), method: "PUT")
            #expect(House.body(try await house.post(Self.path, Self.body(), method: "DELETE")) == removed)
        }
    }

    @Test(arguments: [
        ("", "bad_body"), ("[]", "bad_body"), ("{}", "bad_subscription"),
        (body("https://push.example/\(String(repeating: "a", count: 2_048))"), "bad_subscription"),
        (body("http://push.example/a"), "bad_subscription"), (body("https://127.0.0.1/a"), "bad_subscription"),
        (body(p256dh: ""), "bad_subscription"), (body(p256dh: auth), "bad_subscription"),
        // Not on the curve: its last bit is changed.
        (body(p256dh: point.dropLast() + "U"), "bad_subscription"), (body(auth: "MDEy"), "bad_subscription"),
        (body(auth: "??"), "bad_subscription"),
        (#"{"endpoint":"https://push.example/a"}"#, "bad_subscription"),
    ])
    func `A subscription that nothing could be sent to is refused`(body: String, code: String) async throws {
        try await AdminServerTests.run { house async throws in
            try House.expectError(try await house.post(Self.path, body, method: "PUT"), 400, code)
            #expect(house.fleet.subscriptions.isEmpty)
        }
    }

    @Test(arguments: [("", "bad_endpoint"), ("{}", "bad_endpoint"), ("x", "bad_body")])
    func `A removal names the endpoint`(body: String, code: String) async throws {
        try await AdminServerTests.run { house async throws in
            try House.expectError(try await house.post(Self.path, body, method: "DELETE"), 400, code)
        }
    }
}
