import Broker
import Crypto
import CryptoExtras
import Foundation
import NIOCore

/// Reads a set of public keys as an issuer publishes it (JWK Set, RFC 7517 section 5).
enum JSONWebKeys {
    static let maximumKeys = 100

    private struct KeySet: Decodable { var keys: [Entry] }

    /// One key. Entries that cannot be read are skipped, as section 5 requires: issuers may add unknown kinds of keys.
    private struct Entry: Decodable {
        var key: Key?
        init(from decoder: any Decoder) throws { key = try? Key(from: decoder) }
    }

    private struct Key: Decodable {
        var kty: String
        var kid: String?
        var alg: String?
        var use: String?
        var key_ops: [String]?
        var crv: String?
        var n: String?, e: String?
        var x: String?, y: String?
    }

    /// The keys of the set that can verify signatures.
    ///
    /// - Parameter algorithms: those allowed; if empty, each key's own `alg`, or the default for its type.
    /// - Throws: `KeyError` when the text is not a key set, or has no usable key.
    static func read(_ text: ByteBuffer, algorithms: Set<SignatureAlgorithm>) throws(KeyError) -> [VerificationKey] {
        guard let set = try? JSONDecoder().decode(KeySet.self, from: Data(text.readableBytesView)) else {
            throw KeyError("is not a JSON Web Key Set: an object with a list of \"keys\"")
        }
        guard set.keys.count <= maximumKeys else { throw KeyError("has more than \(maximumKeys) keys") }
        let keys = set.keys.compactMap { $0.key.flatMap { verificationKey($0, algorithms) } }
        guard !keys.isEmpty else { throw KeyError("has no key that signatures can be checked with") }
        return keys
    }

    private static func verificationKey(_ key: Key, _ allowed: Set<SignatureAlgorithm>) -> VerificationKey? {
        guard key.use ?? "sig" == "sig", key.key_ops?.contains("verify") ?? true,
            let material = material(key)
        else { return nil }
        var algorithms = allowed
        if let name = key.alg {
            // A key's own `alg` is binding (RFC 7517 section 4.4).
            guard let own = SignatureAlgorithm(rawValue: name), allowed.isEmpty || allowed.contains(own) else {
                return nil
            }
            algorithms = [own]
        }
        let result = VerificationKey(material, id: key.kid, algorithms: algorithms)
        return result.algorithms.isEmpty ? nil : result
    }

    /// RFC 7518 section 6, RFC 8037 section 2. Secret keys (`oct`) are ignored: the set is public.
    private static func material(_ key: Key) -> VerificationKey.Material? {
        func bytes(_ text: String?) -> [UInt8]? { text.flatMap { Base64.url.decode($0.utf8) } }
        switch key.kty {
        case "RSA":
            // At most 8192 bits: larger keys only cost time.
            guard let n = bytes(key.n), let e = bytes(key.e), (256...1024).contains(n.count), (1...8).contains(e.count)
            else {
                return nil
            }
            return (try? _RSA.Signing.PublicKey(n: n, e: e)).map { .rsa($0) }
        case "EC":
            guard let x = bytes(key.x), let y = bytes(key.y) else { return nil }
            let point = [0x04] + x + y
            switch key.crv {
            case "P-256": return (try? P256.Signing.PublicKey(x963Representation: point)).map { .p256($0) }
            case "P-384": return (try? P384.Signing.PublicKey(x963Representation: point)).map { .p384($0) }
            case "P-521": return (try? P521.Signing.PublicKey(x963Representation: point)).map { .p521($0) }
            default: return nil
            }
        case "OKP":
            guard key.crv == "Ed25519", let x = bytes(key.x) else { return nil }
            return (try? Curve25519.Signing.PublicKey(rawRepresentation: x)).map { .ed25519($0) }
        default: return nil
        }
    }
}
