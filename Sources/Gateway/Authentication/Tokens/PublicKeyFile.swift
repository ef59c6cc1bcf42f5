import Broker
import Crypto
import CryptoExtras
import Foundation

/// Why a key cannot be used, worded for the person who configured it. Includes nothing of the key.
public struct KeyError: Error, Sendable, Equatable, CustomStringConvertible {
    public let description: String
    init(_ description: String) { self.description = description }
}

extension VerificationKey {
    /// Reads a public key in PEM form: `BEGIN PUBLIC KEY` (RFC 7468 section 13), or `BEGIN RSA PUBLIC KEY`.
    ///
    /// - Parameter algorithms: those allowed; if empty, the default for the key's type.
    /// - Throws: `KeyError`, which names what the file holds instead where that can be determined.
    public init(pem: String, algorithms: Set<SignatureAlgorithm>) throws(KeyError) {
        let material = try Self.material(pem)
        self.init(material, id: nil, algorithms: algorithms)
        guard !self.algorithms.isEmpty else { throw KeyError("holds a key that none of the algorithms is for") }
    }

    private static func material(_ text: String) throws(KeyError) -> Material {
        if text.contains("PRIVATE KEY-----") {
            throw KeyError("holds a private key: give the gateway the public one (openssl pkey -pubout)")
        }
        if text.contains("BEGIN CERTIFICATE-----") {
            throw KeyError("holds a certificate: give the key in it (openssl x509 -pubkey -noout)")
        }
        // Text before and after the block is explanatory (RFC 7468 section 2).
        let lines = text.split(whereSeparator: \.isNewline).map { $0.trimmingCharacters(in: .whitespaces) }
        let begins = lines.indices.filter { lines[$0].hasPrefix("-----BEGIN ") }
        let ends = lines.indices.filter { lines[$0].hasPrefix("-----END ") }
        guard begins.count == 1, ends.count == 1, begins[0] < ends[0] else {
            throw KeyError("must hold one public key in PEM form (-----BEGIN PUBLIC KEY-----)")
        }
        let block = lines[begins[0]...ends[0]]
        let pem = block.joined(separator: "\n")
        if let key = try? P256.Signing.PublicKey(pemRepresentation: pem) { return .p256(key) }
        if let key = try? P384.Signing.PublicKey(pemRepresentation: pem) { return .p384(key) }
        if let key = try? P521.Signing.PublicKey(pemRepresentation: pem) { return .p521(key) }
        if let key = edwards(block) { return .ed25519(key) }
        if let key = try? _RSA.Signing.PublicKey(pemRepresentation: pem) { return .rsa(key) }
        if (try? _RSA.Signing.PublicKey(unsafePEMRepresentation: pem)) != nil {
            throw KeyError("holds an RSA key of less than 2048 bits, which is too short to be safe")
        }
        throw KeyError(
            "holds no public key that is supported: RSA of 2048 bits or more, P-256, P-384, P-521 or Ed25519")
    }

    /// Ed25519 (RFC 8410 section 4): `prefix` is the entire DER structure around the 32 key bytes.
    private static func edwards(_ block: ArraySlice<String>) -> Curve25519.Signing.PublicKey? {
        let prefix: [UInt8] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00]
        guard block.first == "-----BEGIN PUBLIC KEY-----",
            let bytes = Base64.standard.decode(block.dropFirst().dropLast().joined().utf8), bytes.count == 44,
            bytes.starts(with: prefix)
        else { return nil }
        return try? Curve25519.Signing.PublicKey(rawRepresentation: bytes.dropFirst(prefix.count))
    }
}
