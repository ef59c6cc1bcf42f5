import Crypto
import Foundation

/// The content coding `aes128gcm` (RFC 8188) with a single record.
struct EncryptedContent {
    /// Size of the header before the key id: salt, record size, length of the key id (section 2.1).
    static let header = 16 + 4 + 1
    /// What a record has besides its content: the delimiter and the tag (section 2).
    static let overhead = 1 + 16

    /// Secret keying material; salted for each content.
    let material: SymmetricKey
    /// 16 random bytes; never twice with the same material.
    let salt: [UInt8]
    /// Tells the receiver which material it is: at most 255 bytes.
    let keyID: [UInt8]
    /// In bytes; the content and the overhead fit into it.
    let recordSize: UInt32

    /// - Throws: CryptoKit's errors, for a content that is longer than the record.
    func seal(_ content: some Collection<UInt8>) throws -> [UInt8] {
        guard content.count + Self.overhead <= Int(recordSize), keyID.count <= 255, salt.count == 16 else {
            throw CryptoKitError.incorrectParameterSize
        }
        let key = derived("Content-Encoding: aes128gcm\0", length: 16)
        // The nonce of the first record: its number, 0, changes nothing (section 2.3).
        let nonce = try AES.GCM.Nonce(data: derived("Content-Encoding: nonce\0", length: 12).bytes)
        // The delimiter 2 says that this is the last record.
        let box = try AES.GCM.seal(Array(content) + [2], using: key, nonce: nonce)
        var output = salt
        output += (0..<4).map { UInt8(truncatingIfNeeded: recordSize >> (24 - 8 * $0)) }
        output.append(UInt8(keyID.count))
        output += keyID
        output += box.ciphertext
        output += box.tag
        return output
    }

    private func derived(_ info: String, length: Int) -> SymmetricKey {
        HKDF<SHA256>.deriveKey(
            inputKeyMaterial: material, salt: salt, info: Array(info.utf8), outputByteCount: length)
    }
}

extension SymmetricKey {
    var bytes: [UInt8] { withUnsafeBytes(Array.init) }
}
