import Broker
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
        ("", "bad_body"), ("[]", "bad_body"), ("{}", "bad_endpoint"),
        (body("https://push.example/\(String(repeating: "a", count: 2_048))"), "bad_endpoint"),
        (body("http://push.example/a"), "bad_endpoint"), (body("https://127.0.0.1/a"), "bad_endpoint"),
        (body(p256dh: ""), "bad_p256dh"), (body(p256dh: auth), "bad_p256dh"), (body(p256dh: point + "="), "bad_p256dh"),
        // Not on the curve: its last bit is changed.
        (body(p256dh: point.dropLast() + "U"), "bad_p256dh"), (body(auth: "MDEy"), "bad_auth"),
        (body(auth: "??"), "bad_auth"),
        (#"{"endpoint":"https://push.example/a"}"#, "bad_p256dh"),
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

    @Test(arguments: [
        "https://fcm.googleapis.com/fcm/send/abc:def", "https://updates.push.services.mozilla.com/wpush/v2/gAAA",
        "HTTPS://web.push.apple.com/Q", "https://push.example:8443/a?b=c", "https://8.8.8.8/a", "https://172.32.0.1/",
        "https://[2606:4700::1]/a", "https://10.example/", "https://x.example./",
    ])
    func `An address of a push service is accepted`(endpoint: String) {
        #expect(pushEndpointRefusal(endpoint) == nil)
    }

    @Test(arguments: [
        "", "push.example/a", "http://push.example/a", "wss://push.example/a", "https:///a", "https://", "https://a b/",
        "https://bücher.example/", "https://user@push.example/", "https://u:p@push.example/", "https://localhost/a",
        "https://LOCALHOST:8443/a", "https://localhost./a", "https://x.localhost/a", "https://127.0.0.1/a",
        "https://127.1/a", "https://2130706433/a", "https://0x7f000001/a", "https://0x7f.1/a", "https://0177.0.0.1/a",
        "https://127.0.0.1./a", "https://0.0.0.0/", "https://10.1.2.3/", "https://100.64.0.1/",
        "https://169.254.169.254/latest",
        "https://172.16.0.1/", "https://192.168.1.1/", "https://198.18.0.1/", "https://203.0.113.1/",
        "https://224.0.0.1/",
        "https://255.255.255.255/", "https://256.1.1.1/", "https://[::1]/a", "https://[::]/", "https://[fe80::1]/",
        "https://[fd00::1]/", "https://[::ffff:127.0.0.1]/", "https://[64:ff9b::7f00:1]/", "https://[2001:db8::1]/",
        "https://[2002:7f00:1::]/", "https://[ff02::1]/", "https://[::1/",
    ])
    func `An address inside a network, or none, is refused`(endpoint: String) {
        #expect(pushEndpointRefusal(endpoint) != nil)
    }
}
