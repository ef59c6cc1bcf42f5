import Broker
import Crypto
public import NIOCore

/// A browser's subscription to push messages (Push API, `PushSubscription.toJSON()`), checked.
public struct PushSubscription: Sendable, Equatable {
    /// The first 16 hex digits of the SHA-256 of the endpoint: a browser that subscribes again replaces its old subscription.
    public let id: String
    /// `{"endpoint":…,"keys":{"p256dh":…,"auth":…}}`.
    public let json: ByteBuffer

    static let longestEndpoint = 2_048
    /// What a refusal shows.
    static let example = #"{"endpoint":"https://…","keys":{"p256dh":"…","auth":"…"}}"#

    /// - Throws: `AdminFailure`, 400.
    init(_ fields: JSONFields) throws(AdminFailure) {
        let endpoint = try Self.endpoint(fields.string("endpoint"))
        let keys = fields.object("keys")
        guard let point = keys?.string("p256dh"), let bytes = Self.bytes(point), bytes.count == 65,
            (try? P256.KeyAgreement.PublicKey(x963Representation: bytes)) != nil
        else {
            throw .bad(
                "bad_p256dh", "keys.p256dh is not an uncompressed point of P-256, 65 bytes in base64url (RFC 8291)",
                "pass on what PushSubscription.toJSON() gives")
        }
        guard let auth = keys?.string("auth"), Self.bytes(auth)?.count == 16 else {
            throw .bad(
                "bad_auth", "keys.auth is not 16 bytes in base64url (RFC 8291)",
                "pass on what PushSubscription.toJSON() gives")
        }
        id = Self.id(endpoint)
        json = JSONWriter.object { json in
            json.string("endpoint", endpoint)
            json.object("keys") { json in
                json.string("p256dh", point)
                json.string("auth", auth)
            }
        }
    }

    static func id(_ endpoint: String) -> String {
        SHA256.hash(data: Array(endpoint.utf8)).prefix(8).map { byte in
            String(byte >> 4, radix: 16) + String(byte & 15, radix: 16)
        }.joined()
    }

    /// Checks an endpoint that is to be sent to.
    static func endpoint(_ text: String?) throws(AdminFailure) -> String {
        guard let text, text.utf8.count <= longestEndpoint else {
            throw .bad(
                "bad_endpoint", "endpoint is missing, or longer than \(longestEndpoint) bytes",
                "send an object like \(example)")
        }
        if let refusal = pushEndpointRefusal(text) {
            throw .bad(
                "bad_endpoint", "the endpoint \(refusal)", "pass on the address that the browser's push service gave")
        }
        return text
    }

    private static func bytes(_ text: String) -> [UInt8]? { Base64.url.decode(Array(text.utf8)) }
}
