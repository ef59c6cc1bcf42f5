import Broker
import Crypto
import NIOCore
import NIOHTTP1

/// What is posted to a push service for one message (RFC 8030, RFC 8291, RFC 8292).
struct PushRequest: Equatable {
    let url: String
    let headers: HTTPHeaders
    let body: ByteBuffer

    /// How important a message is to a device that saves its battery (RFC 8030 section 5.3).
    enum Urgency: String, CaseIterable {
        case veryLow = "very-low", low, normal, high
    }

    /// How long a push service keeps a message if the task says nothing, in seconds.
    static let defaultTTL = 86400

    /// - Parameter now: seconds since 1970.
    /// - Throws: `EscalationError` for a task that cannot be sent, now or later.
    init(
        _ task: EscalationTask, _ target: EscalationTarget.WebPush, now: Double,
        encryption: PushEncryption = PushEncryption()
    ) throws(EscalationError) {
        guard let subscription = task.subscription else { throw EscalationError("it has no push subscription") }
        guard task.body.readableBytes <= PushEncryption.maximumPayload else {
            throw EscalationError(
                "the payload has \(task.body.readableBytes) bytes, more than \(PushEncryption.maximumPayload): send less of it"
            )
        }
        // What remains of it: the push service counts from the moment that it has the message.
        let ttl = max(Double(task.ttl ?? Self.defaultTTL) - max(now - task.since, 0), 0)
        var headers: HTTPHeaders = [
            "Content-Type": "application/octet-stream", "Content-Encoding": "aes128gcm", "TTL": "\(Int(min(ttl, 1e9)))",
        ]
        if let urgency = task.urgency {
            guard let known = Urgency(rawValue: urgency) else {
                throw EscalationError(
                    "its urgency is none of \(Urgency.allCases.map(\.rawValue).joined(separator: ", "))")
            }
            headers.add(name: "Urgency", value: known.rawValue)
        }
        if let topic = task.topic { headers.add(name: "Topic", value: Self.topic(topic)) }
        do {
            headers.add(
                name: "Authorization",
                value: try VAPIDToken.authorization(
                    for: subscription.endpoint.origin, key: target.key, subject: target.subject, now: Int(now)))
            body = try encryption.seal(task.body, for: subscription)
        } catch { throw EscalationError("it cannot be encrypted or signed") }
        self.headers = headers
        url = subscription.endpoint.url
    }

    /// A topic has at most 32 characters of base64url (RFC 8030 section 5.4); other texts are replaced by their hash.
    static func topic(_ text: String) -> String {
        let isTopic = (1...32).contains(text.utf8.count) && text.utf8.allSatisfy { Base64.url.value(of: $0) != nil }
        // 24 bytes are 32 characters.
        return isTopic ? text : Base64.url.encode(SHA256.hash(data: Array(text.utf8)).prefix(24))
    }
}

/// What the caller has to know of Web Push.
public enum WebPush {
    /// The longest payload in bytes, before encryption.
    public static let maximumPayload = PushEncryption.maximumPayload
}
