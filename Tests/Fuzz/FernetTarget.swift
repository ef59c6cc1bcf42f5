import ChannelLayer
import Crypto
import CryptoExtras
import Foundation
import NIOCore

extension FuzzTargets {
    private static let keys = FernetKeys(["first", "s3cret-key"])

    /// The input as a message: unencrypted it is returned as it is, as a token it is refused. The input in a valid token: decrypted
    /// it is the input, and with any bit changed it is refused.
    @Sendable static func fernet(_ input: [UInt8]) {
        let message = ByteBuffer(bytes: input)
        if let opened = try? keys.opened(message), input.first != UInt8(ascii: "g") {
            precondition(opened == message, "a message in clear was changed")
        }
        let token = sealed(input)
        guard let opened = try? keys.opened(ByteBuffer(string: token)) else {
            preconditionFailure("a token stays shut")
        }
        precondition(opened == message, "a token holds something else")
        let place = input.reduce(0) { ($0 &* 31 &+ Int($1)) & 0xFFFFFF }
        var changed = Array(token.utf8)
        changed[1 + place % (changed.count - 1)] ^= 1 << UInt8(place % 7)
        let answer = try? keys.opened(ByteBuffer(bytes: changed))
        precondition(answer == nil, "a changed token was opened")
        precondition((try? FernetKeys(["other"]).opened(ByteBuffer(string: token))) == nil, "a foreign key fits")
    }

    private static func sealed(_ text: [UInt8]) -> String {
        let digest = Array(SHA256.hash(data: Data("s3cret-key".utf8)))
        let vector = [UInt8](repeating: UInt8(truncatingIfNeeded: text.count), count: 16)
        let cipher = try! AES._CBC.encrypt(
            text, using: SymmetricKey(data: digest[16...]), iv: AES._CBC.IV(ivBytes: vector))
        let signed = [0x80, 0, 0, 0, 0, 0x6A, 0xB1, 0x3B, 0x80] + vector + cipher
        let code = HMAC<SHA256>.authenticationCode(for: signed, using: SymmetricKey(data: digest[..<16]))
        return (Data(signed) + Data(code)).base64EncodedString().replacing("+", with: "-").replacing("/", with: "_")
    }
}
