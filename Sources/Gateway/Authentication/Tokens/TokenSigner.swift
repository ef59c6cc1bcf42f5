import Broker
import Crypto
public import NIOCore

/// Signs tokens with a shared secret. Used by `tocsin token`, so that a login can be tried without the issuing site.
public struct TokenSigner: Sendable {
    private let key: SymmetricKey
    private let algorithm: SignatureAlgorithm

    /// nil when the algorithm is not HMAC.
    public init?(secret: [UInt8], algorithm: SignatureAlgorithm) {
        guard algorithm.family == .hmac else { return nil }
        key = SymmetricKey(data: secret)
        self.algorithm = algorithm
    }

    /// The token in its compact form (RFC 7515 section 7.1).
    ///
    /// - Parameter claims: a JSON object.
    public func token(_ claims: ByteBuffer) -> String {
        let header = JSONWriter.object { json in
            json.string("alg", algorithm.rawValue)
            json.string("typ", "JWT")
        }
        let signed = Base64.url.encode(header.readableBytesView) + "." + Base64.url.encode(claims.readableBytesView)
        let bytes = Array(signed.utf8)
        let code: [UInt8] =
            switch algorithm {
            case .hs384: Array(HMAC<SHA384>.authenticationCode(for: bytes, using: key))
            case .hs512: Array(HMAC<SHA512>.authenticationCode(for: bytes, using: key))
            default: Array(HMAC<SHA256>.authenticationCode(for: bytes, using: key))
            }
        return signed + "." + Base64.url.encode(code)
    }
}
