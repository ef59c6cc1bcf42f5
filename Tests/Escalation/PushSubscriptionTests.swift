import NIOCore
import Testing

@testable import Escalation

/// What a browser hands over as its subscription.
struct PushSubscriptionTests {
    static let endpoint = "https://push.example.net/push/JzLQ3raZJfFBR0aqvOMsLrt54w4rJUsV"
    static let p256dh = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
    static let auth = "BTBZMqHH6r4Tts7J_aSIgg"

    private func parse(_ text: String) throws -> PushSubscription {
        try PushSubscription(json: ByteBuffer(string: text))
    }

    @Test func `What toJSON gives is read, and written again in one form`() throws {
        let subscription = try parse(
            #"{"expirationTime":null,"keys":{"auth":"\#(Self.auth)","p256dh":"\#(Self.p256dh)"},"endpoint":"\#(Self.endpoint)"}"#
        )
        #expect(subscription.endpoint.url == Self.endpoint)
        #expect(subscription.auth.count == 16 && subscription.p256dh.count == 65)
        let text = #"{"endpoint":"\#(Self.endpoint)","keys":{"p256dh":"\#(Self.p256dh)","auth":"\#(Self.auth)"}}"#
        #expect(String(buffer: subscription.json) == text)
        #expect(try parse(text) == subscription)
    }

    @Test func `Padded keys are read too`() throws {
        let subscription = try PushSubscription(
            endpoint: Self.endpoint, p256dh: Self.p256dh + "=", auth: Self.auth + "==")
        #expect(String(buffer: subscription.json).contains(#""auth":"\#(Self.auth)""#))
    }

    @Test(arguments: [
        ("[]", "JSON object"), ("{", "JSON object"), ("{}", "no endpoint"), (#"{"endpoint":1}"#, "no endpoint"),
        (#"{"endpoint":"https://a.example/"}"#, "keys.p256dh and keys.auth"),
        (#"{"endpoint":"https://a.example/","keys":[]}"#, "keys.p256dh and keys.auth"),
        (#"{"endpoint":"https://a.example/","keys":{"p256dh":"x"}}"#, "keys.p256dh and keys.auth"),
        (#"{"endpoint":"https://10.0.0.1/","keys":{"p256dh":"x","auth":"y"}}"#, "not public"),
        (#"{"endpoint":"https://a.example/","keys":{"p256dh":"AAAA","auth":"y"}}"#, "keys.p256dh"),
    ])
    func `What is missing or wrong is named`(text: String, named: String) {
        #expect {
            try parse(text)
        } throws: {
            "\($0)".contains(named)
        }
    }

    @Test func `A point that is not on the curve is refused`() {
        let key = "B" + String(Self.p256dh.dropFirst().reversed())
        #expect(throws: EscalationError.self) {
            try PushSubscription(endpoint: Self.endpoint, p256dh: key, auth: Self.auth)
        }
    }

    @Test(arguments: ["", "BTBZMqHH6r4Tts7J_aSI", "BTBZMqHH6r4Tts7J/aSIgg", "BTBZMqHH6r4Tts7J_aSIggAA"])
    func `A secret of another length or alphabet is refused`(auth: String) {
        #expect {
            try PushSubscription(endpoint: Self.endpoint, p256dh: Self.p256dh, auth: auth)
        } throws: {
            "\($0)".contains("keys.auth")
        }
    }

    @Test func `Its description shows neither path nor keys`() throws {
        let subscription = try PushSubscription(endpoint: Self.endpoint, p256dh: Self.p256dh, auth: Self.auth)
        #expect("\(subscription)" == "https://push.example.net")
    }
}
