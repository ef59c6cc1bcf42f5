import Crypto
import NIOCore
import NIOHTTP1
import Testing

@testable import Escalation

/// Standard Webhooks 1.0. The expected signatures were made by the library `standardwebhooks` of PyPI.
struct StandardWebhookTests {
    private static let first = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    private static let second = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
    private static let id = "msg_p5jXN8AQM9LWM0D4loKWxJek"
    private static let body = ByteBuffer(string: #"{"test": 2432232314}"#)
    private static let signatures = [
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", "v1,O4Gjv1HqPqsMrjmczoggs/sWA8gZD0VyHG+fLh4+ktI=",
    ]

    @Test func `The three headers are those of the specification's example`() throws {
        let webhook = StandardWebhook(secrets: [try WebhookSecret(Self.first)])
        let headers = webhook.headers(id: Self.id, timestamp: 1_614_265_330, body: Self.body)
        #expect(headers["webhook-id"] == [Self.id])
        #expect(headers["webhook-timestamp"] == ["1614265330"])
        #expect(headers["webhook-signature"] == [Self.signatures[0]])
        #expect(headers.count == 3)
    }

    @Test func `Each secret makes a signature`() throws {
        let webhook = StandardWebhook(secrets: [try WebhookSecret(Self.first), try WebhookSecret(Self.second)])
        let text = webhook.signatures(id: Self.id, timestamp: 1_614_265_330, body: Self.body)
        #expect(text == Self.signatures.joined(separator: " "))
    }

    @Test func `Id, time and body are signed`() throws {
        let webhook = StandardWebhook(secrets: [try WebhookSecret(Self.first)])
        let others = [
            webhook.signatures(id: "other", timestamp: 1_614_265_330, body: Self.body),
            webhook.signatures(id: Self.id, timestamp: 1_614_265_331, body: Self.body),
            webhook.signatures(id: Self.id, timestamp: 1_614_265_330, body: ByteBuffer(string: "{}")),
        ]
        #expect(!others.contains(Self.signatures[0]) && Set(others).count == 3)
    }

    @Test(arguments: [
        "", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_not base64", "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRY=",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS", "WHSEC_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    ])
    func `A secret that cannot be used is refused without being shown`(text: String) {
        #expect {
            try WebhookSecret(text)
        } throws: {
            let message = "\($0)"
            return message.contains("openssl rand") && !message.contains("MfKQ9r8G")
        }
    }

    @Test func `A secret's description does not show it`() throws {
        #expect(!"\(try WebhookSecret(Self.first))".contains("MfKQ"))
    }

    @Test func `A URL shows its origin only`() throws {
        let url = try WebhookURL("https://Site.example:8443/hooks/T0K3N?key=1")
        #expect("\(url)" == "https://site.example:8443" && url.text == "https://Site.example:8443/hooks/T0K3N?key=1")
        #expect("\(try WebhookURL("http://127.0.0.1/x"))" == "http://127.0.0.1")
    }

    @Test(arguments: [
        "", "site.example/hook", "ftp://site.example/", "https://", "https:///hook",
        "https://user:secret@site.example/",
        "https://site.example/#a", "https://site.example:0/", "https://site.example:70000/", "https://si te/",
    ])
    func `Other URLs are refused`(text: String) {
        #expect(throws: EscalationError.self) { try WebhookURL(text) }
    }
}
