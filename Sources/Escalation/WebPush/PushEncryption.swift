import Crypto
import NIOCore

/// Encrypts a message for one subscription, so that its push service cannot read it (RFC 8291).
struct PushEncryption {
    /// What a push service takes (RFC 8030 section 7.2).
    static let maximumBody = 4096
    /// The longest message: the rest is the header with the sender's public key, the delimiter and the tag.
    static let maximumPayload = maximumBody - EncryptedContent.header - 65 - EncryptedContent.overhead

    private let key: P256.KeyAgreement.PrivateKey
    private let salt: [UInt8]

    /// With a fresh key and a fresh salt, which every message needs.
    init() {
        var random = SystemRandomNumberGenerator()
        self.init(
            key: P256.KeyAgreement.PrivateKey(), salt: (0..<16).map { _ in UInt8.random(in: 0...255, using: &random) })
    }

    /// For test vectors.
    init(key: P256.KeyAgreement.PrivateKey, salt: [UInt8]) { (self.key, self.salt) = (key, salt) }

    /// - Throws: CryptoKit's errors, for a message longer than `maximumPayload`.
    func seal(_ message: ByteBuffer, for subscription: PushSubscription) throws -> ByteBuffer {
        let own = Array(key.publicKey.x963Representation)
        let secret = try key.sharedSecretFromKeyAgreement(
            with: P256.KeyAgreement.PublicKey(x963Representation: subscription.p256dh))
        // Section 3.3: both public keys and the authentication secret go into the keying material.
        let material = secret.hkdfDerivedSymmetricKey(
            using: SHA256.self, salt: subscription.auth,
            sharedInfo: Array("WebPush: info\0".utf8) + subscription.p256dh + own,
            outputByteCount: 32)
        let content = EncryptedContent(material: material, salt: salt, keyID: own, recordSize: UInt32(Self.maximumBody))
        return ByteBuffer(bytes: try content.seal(message.readableBytesView))
    }
}
