import Broker
import Crypto
import NIOCore
import NIOHTTP1

/// Signs a webhook's request as Standard Webhooks 1.0 defines it (standardwebhooks.com, "Signature scheme").
struct StandardWebhook: Sendable {
    private let secrets: [WebhookSecret]

    /// - Parameter secrets: each makes a signature, so that the receiver can replace its own at any time.
    init(secrets: [WebhookSecret]) { self.secrets = secrets }

    /// The headers `webhook-id`, `webhook-timestamp` and `webhook-signature`.
    ///
    /// - Parameters:
    ///   - id: the same in all tries of a message, so that the receiver can recognise it. Without a full stop, which would make the
    ///     signed content ambiguous.
    ///   - timestamp: of this try, in seconds since 1970. Receivers refuse what is older than some minutes.
    func headers(id: String, timestamp: Int, body: ByteBuffer) -> HTTPHeaders {
        [
            "webhook-id": id,
            "webhook-timestamp": "\(timestamp)",
            "webhook-signature": signatures(id: id, timestamp: timestamp, body: body),
        ]
    }

    /// `v1,BASE64` for each secret, separated by spaces.
    func signatures(id: String, timestamp: Int, body: ByteBuffer) -> String {
        secrets.map { secret in
            var signature = HMAC<SHA256>(key: secret.key)
            signature.update(data: Array("\(id).\(timestamp).".utf8))
            signature.update(data: Array(body.readableBytesView))
            return "v1," + Base64.standard.encode(Array(signature.finalize()))
        }.joined(separator: " ")
    }
}
