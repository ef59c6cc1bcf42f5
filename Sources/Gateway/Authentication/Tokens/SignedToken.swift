import Broker
import NIOCore

/// A JSON Web Token in compact form (RFC 7515 section 7.1), parsed but not yet verified.
///
/// The header only selects among our own keys: each key determines its algorithms, and key references in a header (`jku`,
/// `jwk`, `x5u`, `x5c`) are never followed.
struct SignedToken {
    /// Longer tokens are refused before they are parsed. Request heads may be larger than this, but tokens are not.
    static let maximumBytes = 8 << 10
    static let maximumKeyID = 256

    let algorithm: SignatureAlgorithm
    let keyID: String?
    /// The signed bytes: header, dot and payload as received.
    let signed: ArraySlice<UInt8>
    /// The payload, still base64url. Must not be read before the signature has been verified.
    let payload: ArraySlice<UInt8>
    let signature: [UInt8]

    /// - Throws: `LoginFailure.refused`, whose text repeats nothing of the token.
    init(_ text: String) throws(LoginFailure) {
        guard text.utf8.count <= Self.maximumBytes else {
            throw .refused("the token has more than \(Self.maximumBytes) bytes")
        }
        let bytes = Array(text.utf8)
        let parts = bytes.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 3 else {
            throw .refused(
                "the token has \(parts.count) part\(parts.count == 1 ? "" : "s"), not the three of a signed one")
        }
        guard let header = Base64.url.decode(parts[0]), Base64.url.decode(parts[1]) != nil,
            let signature = Base64.url.decode(parts[2])
        else { throw .refused("the token is not in base64url") }
        guard let fields = try? JSONFields(ByteBuffer(bytes: header)) else {
            throw .refused("the token's header is not a JSON object")
        }
        algorithm = try Self.algorithm(fields)
        keyID = try Self.keyID(fields)
        // RFC 7515 section 4.1.11: unknown critical extensions make a token invalid. `b64` (RFC 7797) is one of them.
        guard !fields.keys.contains("crit"), !fields.keys.contains("b64") else {
            throw .refused("the token's header wants extensions that are not supported")
        }
        signed = bytes[..<parts[1].endIndex]
        payload = parts[1]
        self.signature = signature
    }

    private static func algorithm(_ header: JSONFields) throws(LoginFailure) -> SignatureAlgorithm {
        guard let name = header.string("alg") else { throw .refused("the token's header has no \"alg\"") }
        guard name.lowercased() != "none" else { throw .refused("the token is not signed: its \"alg\" is none") }
        guard let algorithm = SignatureAlgorithm(rawValue: name) else {
            throw .refused("the token's \"alg\" is not supported")
        }
        return algorithm
    }

    /// The key id. Only compared with the ids of keys; never used in a path, an address or a query.
    private static func keyID(_ header: JSONFields) throws(LoginFailure) -> String? {
        guard header.raw("kid") != nil else { return nil }
        guard let id = header.string("kid"), !id.isEmpty, id.utf8.count <= maximumKeyID else {
            throw .refused("the token's \"kid\" is not a string of 1 to \(maximumKeyID) bytes")
        }
        return id
    }

    /// The payload's claims. Call only after the signature has been verified.
    func claims() throws(LoginFailure) -> JSONFields {
        guard let bytes = Base64.url.decode(payload), let claims = try? JSONFields(ByteBuffer(bytes: bytes)) else {
            throw .refused("the token's payload is not a JSON object")
        }
        return claims
    }
}
