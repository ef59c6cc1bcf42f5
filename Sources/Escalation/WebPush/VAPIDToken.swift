import Broker
import Crypto
import NIOCore

/// The sender's contact address for operators of push services (RFC 8292 section 2.1, claim `sub`).
public struct VAPIDSubject: Sendable, Equatable, CustomStringConvertible {
    public let description: String

    /// - Throws: `EscalationError` when it is neither `mailto:` with an address nor `https://` with a host.
    public init(_ text: String) throws(EscalationError) {
        let isMail = text.hasPrefix("mailto:") && text.dropFirst(7).split(separator: "@").count == 2
        let isPage = text.hasPrefix("https://") && text.utf8.count > 8
        guard isMail || isPage, text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            throw EscalationError(
                "the subject of Web Push is an address like mailto:admin@site.example or https://site.example/contact")
        }
        description = text
    }
}

/// The header by which a push service recognises the sender (RFC 8292).
enum VAPIDToken {
    /// Seconds that a token is valid: half of what is allowed, because clocks differ.
    static let lifetime = 12 * 3600

    /// `vapid t=TOKEN, k=PUBLIC KEY` (section 3).
    ///
    /// - Parameters:
    ///   - origin: of the push service, for which alone the token counts.
    ///   - now: seconds since 1970.
    /// - Throws: CryptoKit's errors.
    static func authorization(for origin: String, key: VAPIDKey, subject: VAPIDSubject, now: Int) throws -> String {
        let claims = JSONWriter.object { claims in
            claims.string("aud", origin)
            claims.number("exp", now + lifetime)
            claims.string("sub", subject.description)
        }
        // {"typ":"JWT","alg":"ES256"}
        let signed = "eyJ0eXAiOiJKV1QiLCJhbGciOiJFUzI1NiJ9." + Base64.url.encode(Array(claims.readableBytesView))
        let signature = try key.key.signature(for: Array(signed.utf8)).rawRepresentation
        return "vapid t=\(signed).\(Base64.url.encode(Array(signature))), k=\(key.publicText)"
    }
}
