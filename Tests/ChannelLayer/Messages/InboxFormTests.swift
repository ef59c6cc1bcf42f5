import NIOCore
import Testing

@testable import ChannelLayer

/// How a message that Django has put into an inbox fits the gateways' settings.
struct InboxFormTests {
    private static let keys = FernetKeys(["one"])
    private static let json = ByteBuffer(string: #"{"type": "tocsin.doctor", "__asgi_channel__": "specific.a!b"}"#)
    private static let packed = ByteBuffer(bytes: [0x81, 0xa4] + "type".utf8 + [0xa1] + "t".utf8)

    private func form(_ body: ByteBuffer, prefix: Int = 12, configured: Int = 12, _ keys: FernetKeys = FernetKeys())
        -> InboxForm
    {
        InboxForm.of(
            ByteBuffer(bytes: Array(repeating: 0xff, count: prefix) + body.readableBytesView), prefixLength: configured,
            encryption: keys)
    }

    @Test func `What the gateways are configured for has no trouble`() {
        #expect(form(Self.json).trouble(encrypts: false, serializer: .json) == nil)
        #expect(form(Self.packed).trouble(encrypts: false, serializer: .messagePack) == nil)
        let sealed = form(Self.keys.sealed(Self.packed), Self.keys)
        #expect(sealed == InboxForm(content: .messagePack, isEncrypted: true))
        #expect(sealed.trouble(encrypts: true, serializer: .messagePack) == nil)
    }

    @Test func `Another serializer is named`() {
        #expect(
            form(Self.json).trouble(encrypts: false, serializer: .messagePack)?.hasSuffix("redis.serializer to json")
                == true)
        #expect(
            form(Self.packed).trouble(encrypts: false, serializer: .json)?.hasSuffix("redis.serializer to msgpack")
                == true)
        let sealed = form(Self.keys.sealed(Self.json), Self.keys)
        #expect(sealed.trouble(encrypts: true, serializer: .messagePack)?.contains("it is in json") == true)
    }

    @Test func `Keys that are missing, wrong, or on one side only are named`() {
        let token = Self.keys.sealed(Self.packed)
        #expect(
            form(token).trouble(encrypts: false, serializer: .messagePack)?.hasPrefix("it is encrypted: set") == true)
        let wrong = form(token, FernetKeys(["two"])).trouble(encrypts: true, serializer: .messagePack)
        #expect(wrong?.hasPrefix("it is encrypted with another key") == true)
        #expect(
            form(Self.packed).trouble(encrypts: true, serializer: .messagePack)?.hasPrefix("it is not encrypted")
                == true)
    }

    @Test func `Random bytes of another length, and what is no message, cannot be read`() {
        for member in [form(Self.packed, prefix: 0), form(Self.packed, prefix: 20), form(Self.json, prefix: 3)] {
            #expect(member.content == .unknown)
        }
        #expect(form(ByteBuffer(), prefix: 5).content == .unknown)
        #expect(form(Self.packed, prefix: 0, configured: 0).content == .messagePack)
        let words = form(ByteBuffer(string: "no"), prefix: 12).trouble(encrypts: false, serializer: .json)
        #expect(words?.contains("redis.random_prefix_length") == true)
    }
}
