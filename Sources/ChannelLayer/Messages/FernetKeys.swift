import Broker
import Crypto
import CryptoExtras
import Foundation
public import NIOCore

/// Decrypts messages of a Django site with `symmetric_encryption_keys`: Fernet tokens instead of msgpack or JSON.
///
/// A token is base64url of version, time, initialisation vector, AES-128-CBC ciphertext and HMAC-SHA256. Any of the keys may
/// have made it. Its time is ignored: channels_redis leaves expiry to Redis, and a message in staging may be late through no
/// fault of its sender. Unencrypted messages are accepted too, because every other publisher sends them.
///
/// Sources: the Fernet specification (github.com/fernet/spec); channels_redis 4.3, `make_fernet`: a key is the SHA-256 of its
/// text, 16 bytes to sign and 16 to encrypt.
public struct FernetKeys: Sendable {
    private struct Key: Sendable {
        let signing: SymmetricKey
        let encryption: SymmetricKey

        init(_ text: String) {
            let digest = Array(SHA256.hash(data: Array(text.utf8)))
            signing = SymmetricKey(data: digest[..<16])
            encryption = SymmetricKey(data: digest[16...])
        }
    }

    private let keys: [Key]

    /// Whether messages are not encrypted.
    var isEmpty: Bool { keys.isEmpty }

    /// - Parameter texts: as written in Django's settings.
    public init(_ texts: [String] = []) { keys = texts.map(Key.init) }

    /// The decrypted message; bytes that are not a token are returned as they are.
    ///
    /// - Throws: ``MessageError`` with `encrypted` for a token that no key opens, whether foreign or modified.
    public func opened(_ bytes: ByteBuffer) throws(MessageError) -> ByteBuffer {
        // Every token begins with this letter (the version's first bits), and no message does.
        guard bytes.readableBytesView.first == UInt8(ascii: "g") else { return bytes }
        guard let token = Base64.paddedURL.decode(bytes.readableBytesView), token.count >= 73, token[0] == 0x80 else {
            throw MessageError(offset: 0, reason: .encrypted)
        }
        let signed = token.dropLast(32), code = token.suffix(32)
        for key in keys {
            guard HMAC<SHA256>.isValidAuthenticationCode(code, authenticating: signed, using: key.signing),
                let vector = try? AES._CBC.IV(ivBytes: signed[9..<25]),
                let text = try? AES._CBC.decrypt(signed[25...], using: key.encryption, iv: vector)
            else { continue }
            return ByteBuffer(bytes: text)
        }
        throw MessageError(offset: 0, reason: .encrypted)
    }

    /// Encrypts a message with the first key, as Django does; without keys, the bytes themselves.
    public func sealed(_ bytes: ByteBuffer) -> ByteBuffer {
        guard let key = keys.first else { return bytes }
        var random = SystemRandomNumberGenerator()
        let vector = (0..<16).map { _ in UInt8.random(in: .min ... .max, using: &random) }
        let seconds = UInt64(max(Date.now.timeIntervalSince1970, 0))
        var token: [UInt8] = [0x80] + (0..<8).map { UInt8(truncatingIfNeeded: seconds >> (56 - 8 * $0)) } + vector
        guard let iv = try? AES._CBC.IV(ivBytes: vector),
            let text = try? AES._CBC.encrypt(Array(bytes.readableBytesView), using: key.encryption, iv: iv)
        else { preconditionFailure("AES-128-CBC with a key and a vector of 16 bytes cannot fail") }
        token += text
        token += HMAC<SHA256>.authenticationCode(for: token, using: key.signing)
        return ByteBuffer(string: Base64.paddedURL.encode(token))
    }
}
