import NIOCore
import Testing

@testable import ChannelLayer

struct FernetKeysTests {
    /// Made by channels_redis from `{"type": "receive", "isInsufficient:": true, "balance": 12.5}` with the key `s3cret-key`.
    private static let token =
        "gAAAAABqsTuAAAECAwQFBgcICQoLDA0OD4_0d388aASKhDNzxVmvDC02V3HX2xzNO8AsgIAIM_acEncMtgaOKbS4kp7Nfb1QjSsY8Q3PtvQBlrO-dHXqk36tusE44WY8-9-QKzfbvafFeNbYA5Pk4DrmVZ0iURcaHg=="
    private static let message =
        #"{"type":"receive","isInsufficient:":true,"balance":12.5}"#

    private func opened(_ text: String, _ keys: [String]) -> Result<ByteBuffer, MessageError> {
        Result { () throws(MessageError) in try FernetKeys(keys).opened(ByteBuffer(string: text)) }
    }

    private static let shut = Result<ByteBuffer, MessageError>.failure(MessageError(offset: 0, reason: .encrypted))

    @Test(arguments: [["s3cret-key"], ["newer", "s3cret-key"], ["s3cret-key", "older"]])
    func `A token of channels_redis is opened by the key that made it, wherever it stands`(keys: [String]) throws {
        let clear = try opened(Self.token, keys).get()
        #expect(String(buffer: try WireMessage.decode(clear).json) == Self.message)
    }

    @Test(arguments: [[], ["other"], ["S3cret-key", "s3cret-key "]])
    func `Without its key a token is no message`(keys: [String]) {
        #expect(opened(Self.token, keys) == Self.shut)
    }

    @Test(arguments: ["{}", #"{"a":1}"#, " {}", "\u{80}", "", "hello"])
    func `What is no token is left as it is, with keys and without`(text: String) {
        for keys in [[], ["s3cret-key"]] { #expect(opened(text, keys) == .success(ByteBuffer(string: text))) }
    }

    @Test func `A token with any bit changed is refused`() {
        for index in Self.token.utf8.indices.dropFirst() {
            var bytes = Array(Self.token.utf8)
            let place = Self.token.utf8.distance(from: Self.token.utf8.startIndex, to: index)
            for bit in 0..<7 {
                bytes[place] ^= 1 << UInt8(bit)
                #expect((try? FernetKeys(["s3cret-key"]).opened(ByteBuffer(bytes: bytes))) == nil, "\(place) \(bit)")
                bytes[place] ^= 1 << UInt8(bit)
            }
        }
    }

    @Test func `A token cut short anywhere, or with more behind it, is refused`() {
        for count in 1..<Self.token.utf8.count {
            #expect(opened(String(Self.token.prefix(count)), ["s3cret-key"]) == Self.shut)
        }
        for tail in ["A", "AAAA", "=", "====", " ", "\n"] {
            #expect(opened(Self.token + tail, ["s3cret-key"]) == Self.shut)
        }
    }
}
