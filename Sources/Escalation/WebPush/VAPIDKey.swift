import Broker
import Crypto
import Foundation

/// The key by which push services recognise the sender (RFC 8292): a private key of P-256. Its description does not show it.
public struct VAPIDKey: Sendable, CustomStringConvertible {
    let key: P256.Signing.PrivateKey

    /// A new one, of which nobody else knows.
    public init() { key = P256.Signing.PrivateKey() }

    /// - Parameter pem: as `tocsin vapid` and `openssl ecparam -genkey -name prime256v1` write it.
    /// - Throws: `EscalationError` without anything of the text.
    public init(pem: String) throws(EscalationError) {
        // openssl writes the curve's name as a block of its own before the key's.
        let key = pem.range(of: "-----END EC PARAMETERS-----").map { pem[$0.upperBound...] } ?? pem[...]
        do {
            self.key = try P256.Signing.PrivateKey(
                pemRepresentation: key.trimmingCharacters(in: .whitespacesAndNewlines))
        } catch {
            throw EscalationError("no private key of the curve P-256 in PEM form; make one with: tocsin vapid FILE")
        }
    }

    /// PKCS #8 in PEM form: a secret, for a file that only its owner can read.
    public var pem: String { key.pemRepresentation }

    /// What a page passes to `pushManager.subscribe` as `applicationServerKey`: base64url of the uncompressed point.
    public var publicText: String { Base64.url.encode(Array(key.publicKey.x963Representation)) }

    public var description: String { "the VAPID key \(publicText)" }
}
