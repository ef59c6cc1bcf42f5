import Broker
import NIOCore

/// A JSON Web Token in its compact form (RFC 7515 section 7.1), taken apart but not yet believed.
///
/// The header says only which of our keys to look for: the algorithm comes from the key, and whatever else a header may
/// point at (`jku`, `jwk`, `x5u`, `x5c`) is never followed.
struct SignedToken {
    /// Longer tokens are refused before they are looked at. Requests' heads are larger than that, tokens are not.
    static let maximumBytes = 8 << 10
    static let maximumKeyID = 256

    let algorithm: SignatureAlgorithm
    let keyID: String?
    /// What is signed: header, dot, payload, as they came.
    let signed: ArraySlice<UInt8>
    /// JSON, if the signature is right. Nobody reads it before.
    let payload: ArraySlice<UInt8>
    let signature: [UInt8]

    /// - Throws: `LoginFailure.refused`, which repeats nothing of the token.
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
        guard let header = Base64URL.decode(parts[0]), Base64URL.decode(parts[1]) != nil,
            let signature = Base64URL.decode(parts[2])
        else { throw .refused("the token is not in base64url") }
        guard let fields = try? JSONFields(ByteBuffer(bytes: header)) else {
            throw .refused("the token's header is not a JSON object")
        }
        algorithm = try Self.algorithm(fields)
        keyID = try Self.keyID(fields)
        // RFC 7515 section 4.1.11: what must be understood, and is not, makes the token invalid. `b64` (RFC 7797) is one of those.
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

    /// Compared with the names of keys, and never a path, an address or part of a query.
    private static func keyID(_ header: JSONFields) throws(LoginFailure) -> String? {
        guard header.raw("kid") != nil else { return nil }
        guard let id = header.string("kid"), !id.isEmpty, id.utf8.count <= maximumKeyID else {
            throw .refused("the token's \"kid\" is not a string of 1 to \(maximumKeyID) bytes")
        }
        return id
    }

    /// The payload's claims. Only for a token whose signature was found right.
    func claims() throws(LoginFailure) -> JSONFields {
        guard let bytes = Base64URL.decode(payload), let claims = try? JSONFields(ByteBuffer(bytes: bytes)) else {
            throw .refused("the token's payload is not a JSON object")
        }
        return claims
    }
}
