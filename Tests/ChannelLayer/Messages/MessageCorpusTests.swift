import Broker
import NIOCore
import Testing

@testable import ChannelLayer

/// Gateways must judge messages as group_send does.
struct MessageCorpusTests {
    @Test(arguments: CorpusMessage.all)
    func `A gateway shows a message, or not, as the corpus says`(message: CorpusMessage) throws {
        let read = Result { () throws(MessageError) in try WireMessage.decode(message.bytes) }
        switch message.verdict {
        case .taken, .python:
            let shown = try read.get().json
            #expect(try JSONText.object(shown).text == shown)
        case .key: #expect(throws: MessageError.self) { try read.get() }
        case .type: #expect(reason(read) == .ext)
        case .text: #expect(reason(read) == .badUTF8)
        case .whole: #expect([.truncated, .trailing, .unusedByte].contains(reason(read)))
        case .deep: #expect(reason(read) == .nesting)
        case .object: #expect(reason(read) == .notAMap)
        case .json: if case .json? = reason(read) {} else { Issue.record("\(read)") }
        }
        if message.verdict == .key { #expect(reason(read) == .key) }
    }

    private func reason(_ read: Result<DecodedMessage, MessageError>) -> MessageError.Reason? {
        if case .failure(let error) = read { error.reason } else { nil }
    }

    @Test(arguments: CorpusMessage.all)
    func `What the relay lets pass is what a gateway shows`(message: CorpusMessage) throws {
        guard let bare = try? LayerMessage.withoutChannels(message.bytes).message else {
            let isShown = message.verdict == .taken || message.verdict == .python
            #expect(!isShown || message.name.hasPrefix("channels "), "only for whom it is may be unclear")
            return
        }
        #expect(try WireMessage.decode(bare).json == WireMessage.decode(message.bytes).json)
    }

    @Test(arguments: [
        (#"{"text":"hello \ud83d"}"#, "hello \u{FFFD}"), (#"{"text":"\ude00\ud83d\ud83d\ude00"}"#, "\u{FFFD}\u{FFFD}😀"),
        (#"{"text":"\ud83d\u0041\\ud83d"}"#, "\u{FFFD}A\\ud83d"), (#"{"text":"\u0000\udfff"}"#, "\0\u{FFFD}"),
    ])
    func `Half an emoji passes as it is, and is no raw surrogate where the text itself is wanted`(
        message: String, text: String
    ) throws {
        let bytes = ByteBuffer(string: message)
        #expect(String(buffer: try WireMessage.decode(bytes).json) == message)
        #expect(try JSONFields(bytes).string("text") == text)
    }

    @Test func `The stamp of a message that cannot be read is found, and nothing else is taken for one`() {
        func stamp(_ bytes: ByteBuffer) -> String? {
            WireMessage.stamp(ofUnreadable: bytes).map { String(buffer: $0) }
        }
        let key = "aa 5f5f746f6373696e5f5f"
        #expect(stamp(hex("82 \(key) a150 0101")) == "P")
        #expect(stamp(hex("de0002 \(key) d90150 0101")) == "P")
        #expect(stamp(hex("82 \(key) 05 0101")) == nil)
        #expect(stamp(hex("82 0101 \(key) a150")) == nil)
        #expect(stamp(hex("81 \(key)")) == nil)
        #expect(stamp(hex("81")) == nil)
        #expect(stamp(hex("80")) == nil)
        #expect(stamp(ByteBuffer(string: #" {"__tocsin__":"P","a":01}"#)) == "P")
        #expect(stamp(ByteBuffer(string: #"{"__tocsin__":"P"#)) == nil)
        #expect(stamp(ByteBuffer(string: #"{"a":{"__tocsin__":"P"},"b":01}"#)) == nil)
        #expect(stamp(ByteBuffer(string: "gAAAA")) == nil)
        #expect(stamp(ByteBuffer()) == nil)
    }
}
