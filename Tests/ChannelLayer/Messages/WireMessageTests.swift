import Broker
import ChannelLayer
import NIOCore
import Testing

struct WireMessageTests {
    @Test(arguments: ["", "[]", "\"{}\"", "1", "null", " ", "\n[]", "\u{FEFF}{}", "x{}"])
    func `Text that is no object is no message`(text: String) {
        let error = #expect(throws: MessageError.self) { try WireMessage.decode(ByteBuffer(string: text)) }
        #expect(error?.reason == .notAMap)
        #expect(throws: MessageError.self) { try LayerMessage.withoutChannels(ByteBuffer(string: text)) }
    }

    @Test
    func `Every first byte is either a format or an error`() {
        for first in UInt8.min ... .max {
            let error = #expect(throws: MessageError.self, "\(first)") {
                try WireMessage.decode(ByteBuffer(bytes: [first, 0xC1, 0xC1]))
            }
            let isFormat = (0x80...0x8F).contains(first) || [0xDE, 0xDF, 0x7B].contains(first)
            #expect((error?.reason == .notAMap) == !isFormat)
        }
    }

    @Test
    func `An error in JSON keeps its reason and its offset`() {
        let error = #expect(throws: MessageError.self) {
            try WireMessage.decode(ByteBuffer(string: #" {"secret": 01}"#))
        }
        #expect(error == MessageError(offset: 13, reason: .json(.badNumber)))
        #expect(error?.description == "malformed JSON number at byte 13")
    }

    @Test
    func `The random bytes in front of an inbox member are taken off`() throws {
        let member = ByteBuffer(string: "abcdefghijklmnop")
        #expect(try LayerMessage.body(ofInboxMember: member) == ByteBuffer(string: "mnop"))
        #expect(try LayerMessage.body(ofInboxMember: member, prefixLength: 0) == member)
        #expect(try LayerMessage.body(ofInboxMember: member, prefixLength: -1) == member)
        #expect(try LayerMessage.body(ofInboxMember: member, prefixLength: 16).readableBytes == 0)
        #expect(throws: MessageError(offset: 16, reason: .truncated)) {
            try LayerMessage.body(ofInboxMember: member, prefixLength: 17)
        }
        #expect(throws: MessageError(offset: 16, reason: .truncated)) {
            try LayerMessage.body(ofInboxMember: member, prefixLength: .max)
        }
    }

    @Test
    func `A message that needs no change is not copied`() throws {
        let message = ByteBuffer(string: #"{"type": "receive", "balance": 12.5}"#)
        #expect(self.sharesStorage(try WireMessage.decode(message).json, message))
        #expect(self.sharesStorage(try LayerMessage.withoutChannels(message).message, message))
        let map = hex("81 a1 61 01")
        #expect(self.sharesStorage(try LayerMessage.withoutChannels(map).message, map))
    }

    private func sharesStorage(_ one: ByteBuffer, _ other: ByteBuffer) -> Bool {
        one.withUnsafeReadableBytes { one in
            other.withUnsafeReadableBytes { other in
                one.baseAddress.map { other.contains($0) } ?? false
            }
        }
    }
}

extension UnsafeRawBufferPointer {
    fileprivate func contains(_ address: UnsafeRawPointer) -> Bool {
        guard let start = self.baseAddress else { return false }
        return start <= address && address < start + self.count
    }
}
