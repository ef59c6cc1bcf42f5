import Broker
import Crypto
public import NIOCore

/// One browser's subscription at its push service (W3C Push API, `PushSubscription`). Its description is the service's origin only.
public struct PushSubscription: Sendable, Equatable, CustomStringConvertible {
    public let endpoint: PushEndpoint
    /// The browser's public key, an uncompressed point of P-256: 65 bytes.
    let p256dh: [UInt8]
    /// The authentication secret, 16 bytes (RFC 8291 section 3.2).
    let auth: [UInt8]

    /// - Parameters:
    ///   - endpoint: an `https` address of a public host.
    ///   - p256dh: base64url.
    ///   - auth: base64url.
    /// - Throws: `EscalationError` naming what cannot be used.
    public init(
        endpoint: String, p256dh: String, auth: String, policy: OutboundPolicy = OutboundPolicy()
    ) throws(EscalationError) {
        self.endpoint = try PushEndpoint(endpoint, policy: policy)
        guard let key = Self.bytes(p256dh), key.count == 65,
            (try? P256.KeyAgreement.PublicKey(x963Representation: key)) != nil
        else {
            throw EscalationError(
                "keys.p256dh is no public key: base64url of an uncompressed point of P-256 (65 bytes)")
        }
        guard let secret = Self.bytes(auth), secret.count == 16 else {
            throw EscalationError("keys.auth is no base64url of 16 bytes")
        }
        (self.p256dh, self.auth) = (key, secret)
    }

    /// - Parameter json: what `JSON.stringify(subscription)` gives in a browser: `endpoint` and `keys` with `p256dh` and `auth`.
    ///   Other entries are ignored.
    /// - Throws: `EscalationError` naming what is missing or cannot be used.
    public init(json: ByteBuffer, policy: OutboundPolicy = OutboundPolicy()) throws(EscalationError) {
        guard let fields = try? JSONFields(json) else {
            throw EscalationError("the subscription is no JSON object: send JSON.stringify(subscription)")
        }
        guard let endpoint = fields.string("endpoint") else {
            throw EscalationError("the subscription has no endpoint")
        }
        guard let keys = fields.object("keys"), let key = keys.string("p256dh"), let secret = keys.string("auth") else {
            throw EscalationError("the subscription has no keys.p256dh and keys.auth")
        }
        try self.init(endpoint: endpoint, p256dh: key, auth: secret, policy: policy)
    }

    /// The first 16 hex digits of the SHA-256 of the endpoint: a browser that subscribes again replaces its old subscription.
    public var id: String { Self.id(of: endpoint.url) }

    /// The id of a subscription with this endpoint.
    public static func id(of endpoint: String) -> String {
        SHA256.hash(data: Array(endpoint.utf8)).prefix(8).map { $0.hex(count: 2) }.joined()
    }

    /// The entries that are needed, in a fixed order: the same subscription gives the same bytes.
    public var json: ByteBuffer {
        JSONWriter.object { object in
            object.string("endpoint", endpoint.url)
            object.object("keys") { keys in
                keys.string("p256dh", Base64.url.encode(p256dh))
                keys.string("auth", Base64.url.encode(auth))
            }
        }
    }

    /// Some libraries pad what browsers do not.
    private static func bytes(_ text: String) -> [UInt8]? {
        Base64.url.decode(Array(text.utf8.prefix { $0 != UInt8(ascii: "=") }))
    }

    public var description: String { endpoint.description }
}
