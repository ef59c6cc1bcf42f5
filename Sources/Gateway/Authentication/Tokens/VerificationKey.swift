import Crypto
import CryptoExtras
import Foundation

/// A key with the algorithms it may be used for. A token that names any other algorithm is refused, so that a public key is
/// never used as an HMAC secret (RFC 8725 sections 2.1 and 3.1).
public struct VerificationKey: Sendable {
    enum Material: Sendable {
        case secret(SymmetricKey)
        case rsa(_RSA.Signing.PublicKey)
        case p256(P256.Signing.PublicKey)
        case p384(P384.Signing.PublicKey)
        case p521(P521.Signing.PublicKey)
        case ed25519(Curve25519.Signing.PublicKey)
    }

    let material: Material
    /// The key's id in its set.
    let id: String?
    public let algorithms: Set<SignatureAlgorithm>

    /// Minimum length of a secret, in bytes. Shorter ones can be guessed from a single token. RFC 7518 section 3.2 asks for the
    /// hash's length; 32 random bytes are out of reach with any of the three hashes.
    public static let minimumSecret = 32

    /// - Parameter algorithms: those allowed; if empty, the default for the key's type (RS256 for RSA). Algorithms that do not
    ///   fit the key's type are ignored.
    init(_ material: Material, id: String?, algorithms: Set<SignatureAlgorithm>) {
        self.material = material
        self.id = id
        let (possible, usual): (Set<SignatureAlgorithm>, SignatureAlgorithm) =
            switch material {
            case .secret: ([.hs256, .hs384, .hs512], .hs256)
            case .rsa: ([.rs256, .rs384, .rs512, .ps256, .ps384, .ps512], .rs256)
            case .p256: ([.es256], .es256)
            case .p384: ([.es384], .es384)
            case .p521: ([.es512], .es512)
            case .ed25519: ([.edDSA], .edDSA)
            }
        self.algorithms = algorithms.isEmpty ? [usual] : algorithms.intersection(possible)
    }

    /// A secret shared with the issuer.
    public init(secret: [UInt8], algorithms: Set<SignatureAlgorithm>) {
        self.init(.secret(SymmetricKey(data: secret)), id: nil, algorithms: algorithms)
    }

    /// Whether the signature over the bytes is valid. HMACs are compared in constant time.
    func verifies(_ signature: [UInt8], of bytes: ArraySlice<UInt8>, by algorithm: SignatureAlgorithm) -> Bool {
        guard algorithms.contains(algorithm) else { return false }
        switch (algorithm, material) {
        case (.hs256, .secret(let key)):
            return HMAC<SHA256>.isValidAuthenticationCode(signature, authenticating: bytes, using: key)
        case (.hs384, .secret(let key)):
            return HMAC<SHA384>.isValidAuthenticationCode(signature, authenticating: bytes, using: key)
        case (.hs512, .secret(let key)):
            return HMAC<SHA512>.isValidAuthenticationCode(signature, authenticating: bytes, using: key)
        case (.rs256, .rsa(let key)): return Self.rsa(key, signature, SHA256.hash(data: bytes), .insecurePKCS1v1_5)
        case (.rs384, .rsa(let key)): return Self.rsa(key, signature, SHA384.hash(data: bytes), .insecurePKCS1v1_5)
        case (.rs512, .rsa(let key)): return Self.rsa(key, signature, SHA512.hash(data: bytes), .insecurePKCS1v1_5)
        case (.ps256, .rsa(let key)): return Self.rsa(key, signature, SHA256.hash(data: bytes), .PSS)
        case (.ps384, .rsa(let key)): return Self.rsa(key, signature, SHA384.hash(data: bytes), .PSS)
        case (.ps512, .rsa(let key)): return Self.rsa(key, signature, SHA512.hash(data: bytes), .PSS)
        case (.es256, .p256(let key)):
            return (try? P256.Signing.ECDSASignature(rawRepresentation: signature))
                .map { key.isValidSignature($0, for: bytes) } ?? false
        case (.es384, .p384(let key)):
            return (try? P384.Signing.ECDSASignature(rawRepresentation: signature))
                .map { key.isValidSignature($0, for: bytes) } ?? false
        case (.es512, .p521(let key)):
            return (try? P521.Signing.ECDSASignature(rawRepresentation: signature))
                .map { key.isValidSignature($0, for: bytes) } ?? false
        case (.edDSA, .ed25519(let key)): return key.isValidSignature(signature, for: bytes)
        default: return false
        }
    }

    private static func rsa(
        _ key: _RSA.Signing.PublicKey, _ signature: [UInt8], _ digest: some Digest, _ padding: _RSA.Signing.Padding
    ) -> Bool {
        key.isValidSignature(_RSA.Signing.RSASignature(rawRepresentation: signature), for: digest, padding: padding)
    }
}
