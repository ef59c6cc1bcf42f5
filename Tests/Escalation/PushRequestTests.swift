import Broker
import Crypto
import Foundation
import NIOCore
import NIOHTTP1
import Testing

@testable import Escalation

/// Headers and VAPID of a request to a push service.
struct PushRequestTests {
    private static let now = 1_700_000_000.0

    private func target() throws -> EscalationTarget.WebPush {
        EscalationTarget.WebPush(key: VAPIDKey(), subject: try VAPIDSubject("mailto:ops@site.example"))
    }

    private func task(
        _ body: String = "{}", age: Double = 0, ttl: Int? = nil, urgency: String? = nil, topic: String? = nil
    ) throws -> EscalationTask {
        EscalationTask(
            id: "1", escalation: "e", target: "t", attempt: 1, since: Self.now - age, group: "g", user: "u",
            position: "p",
            body: ByteBuffer(string: body),
            subscription: try PushSubscription(
                endpoint: PushSubscriptionTests.endpoint, p256dh: PushSubscriptionTests.p256dh,
                auth: PushSubscriptionTests.auth),
            ttl: ttl, urgency: urgency, topic: topic)
    }

    private func request(_ task: EscalationTask) throws -> PushRequest {
        try PushRequest(task, target(), now: Self.now)
    }

    @Test func `A message is posted to the endpoint, encrypted`() throws {
        let request = try request(try task())
        #expect(request.url == PushSubscriptionTests.endpoint)
        #expect(request.headers["content-encoding"] == ["aes128gcm"])
        #expect(request.headers["ttl"] == ["86400"])
        #expect(!request.headers.contains(name: "urgency") && !request.headers.contains(name: "topic"))
        #expect(request.body.readableBytes == 86 + 2 + 17)
    }

    @Test(
        arguments: [(nil, 0.0, "86400"), (60, 0, "60"), (60, 20.5, "39"), (60, 100, "0"), (0, 0, "0"), (60, -5, "60")]
            as [(Int?, Double, String)])
    func `TTL is what remains of it`(ttl: Int?, age: Double, header: String) throws {
        #expect(try request(task(age: age, ttl: ttl)).headers["ttl"] == [header])
    }

    @Test func `Urgency is one of four words`() throws {
        for urgency in ["very-low", "low", "normal", "high"] {
            #expect(try request(task(urgency: urgency)).headers["urgency"] == [urgency])
        }
        #expect {
            try request(task(urgency: "urgent"))
        } throws: {
            "\($0)".contains("very-low, low, normal, high")
        }
    }

    @Test func `A topic of base64url stays, any other becomes its hash`() throws {
        let fitting = String(repeating: "Az-_", count: 8)
        #expect(try request(task(topic: fitting)).headers["topic"] == [fitting])
        for text in ["", "order 7", "ordér", fitting + "x", "a=", "a\r\nb"] {
            let topic = PushRequest.topic(text)
            #expect(topic.utf8.count == 32 && topic.utf8.allSatisfy { Base64.url.value(of: $0) != nil })
            #expect(topic == PushRequest.topic(text), "the same text has the same topic")
        }
        #expect(PushRequest.topic("order 7") != PushRequest.topic("order 8"))
    }

    @Test func `What cannot be sent is refused with a reason`() throws {
        let long = try task(String(repeating: "x", count: 3994))
        #expect {
            try request(long)
        } throws: {
            "\($0)".contains("3994") && "\($0)".contains("3993")
        }
        let bare = EscalationTask(
            id: "1", escalation: "e", target: "t", attempt: 1, since: 0, group: "g", user: "u", position: "p",
            body: ByteBuffer())
        #expect(throws: EscalationError.self) { try request(bare) }
    }

    // MARK: VAPID

    @Test func `The token is signed with the key in the header, for this origin and half a day`() throws {
        let target = try target()
        let header = try #require(try PushRequest(task(), target, now: Self.now).headers.first(name: "authorization"))
        let parts = header.split(separator: " ")
        try #require(parts.count == 3 && parts[0] == "vapid" && parts[1].hasPrefix("t=") && parts[1].hasSuffix(","))
        #expect(parts[2] == "k=\(target.key.publicText)")
        let token = parts[1].dropFirst(2).dropLast().split(separator: ".")
        try #require(token.count == 3)
        let decoded = try token.map { try #require(Base64.url.decode(Array($0.utf8))) }
        #expect(String(decoding: decoded[0], as: UTF8.self) == #"{"typ":"JWT","alg":"ES256"}"#)
        #expect(
            String(decoding: decoded[1], as: UTF8.self)
                == #"{"aud":"https://push.example.net","exp":1700043200,"sub":"mailto:ops@site.example"}"#)
        let point = try #require(Base64.url.decode(Array(target.key.publicText.utf8)))
        let key = try P256.Signing.PublicKey(x963Representation: point)
        let signature = try P256.Signing.ECDSASignature(rawRepresentation: decoded[2])
        #expect(key.isValidSignature(signature, for: Array("\(token[0]).\(token[1])".utf8)))
    }

    @Test func `The example of RFC 8292 has the same header and form of signature`() throws {
        // Section 2.4.
        let token =
            "eyJ0eXAiOiJKV1QiLCJhbGciOiJFUzI1NiJ9.eyJhdWQiOiJodHRwczovL3B1c2guZXhhbXBsZS5uZXQiLCJleHAiOjE0NTM1MjM3NjgsInN1YiI6Im1ha"
            + "Wx0bzpwdXNoQGV4YW1wbGUuY29tIn0.i3CYb7t4xfxCDquptFOepC9GAu_HLGkMlMuCGSK2rpiUfnK9ojFwDXb1JrErtmysazNjjvW2L9OkSSHzvoD1oA"
        let point = "BA1Hxzyi1RUM1b5wjxsn7nGxAszw2u61m164i3MrAIxHF6YK5h4SDYic-dRuU_RCPCfA5aq9ojSwk5Y2EmClBPs"
        let parts = token.split(separator: ".")
        #expect(parts[0] == "eyJ0eXAiOiJKV1QiLCJhbGciOiJFUzI1NiJ9", "the header is the one that is written here")
        let key = try P256.Signing.PublicKey(x963Representation: #require(Base64.url.decode(Array(point.utf8))))
        let signature = try P256.Signing.ECDSASignature(
            rawRepresentation: #require(Base64.url.decode(Array(parts[2].utf8))))
        #expect(key.isValidSignature(signature, for: Array("\(parts[0]).\(parts[1])".utf8)))
    }

    @Test func `A key is read from its own PEM and from openssl's`() throws {
        let key = VAPIDKey()
        #expect(try VAPIDKey(pem: key.pem).publicText == key.publicText)
        #expect(key.publicText.utf8.count == 87 && key.publicText.hasPrefix("B"))
        #expect(!"\(key)".contains(key.pem.split(separator: "\n")[1]))
        // openssl ecparam -genkey -name prime256v1
        let parameters = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
        #expect(try VAPIDKey(pem: parameters + key.pem).publicText == key.publicText)
    }

    @Test(arguments: ["", "x", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
    func `Other texts are no key, and the error names the command`(pem: String) {
        #expect {
            try VAPIDKey(pem: pem)
        } throws: {
            "\($0)".contains("tocsin vapid")
        }
    }

    @Test(arguments: [
        "", "ops@site.example", "mailto:", "mailto:ops", "http://site.example", "https://", "mailto:a@b c",
    ])
    func `A subject is mailto or https`(text: String) {
        #expect(throws: EscalationError.self) { try VAPIDSubject(text) }
    }

    @Test func `Both kinds of subject are accepted`() throws {
        for text in ["mailto:ops@site.example", "https://site.example/contact"] {
            #expect(try VAPIDSubject(text).description == text)
        }
    }
}
