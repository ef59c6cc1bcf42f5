import Broker
import ChannelLayer
import NIOCore
import Testing

struct MessagePackNestingTests {
    /// `{"v": …}` with nested containers, `depth` of them in total.
    private func nested(_ depth: Int, open: String, innermost: String) -> ByteBuffer {
        var message = hex("81 a1 76")
        let open = hex(open)
        for _ in 0..<depth - 2 {
            message.writeImmutableBuffer(open)
        }
        message.writeImmutableBuffer(hex(innermost))
        return message
    }

    @Test(arguments: [2, 3, 15, 16, 17, 18, 19, 33, 99, 1000])
    func `Nesting is kept up to a thousand deep`(depth: Int) throws {
        let arrays = try MessagePack.jsonObject(self.nested(depth, open: "91", innermost: "92 01 02")).json
        let brackets = String(repeating: "[", count: depth - 1)
        let ends = String(repeating: "]", count: depth - 1)
        #expect(String(buffer: arrays) == #"{"v":\#(brackets)1,2\#(ends)}"#)
        #expect(try JSONText.object(arrays).text == arrays)

        let maps = try MessagePack.jsonObject(self.nested(depth, open: "81 a1 61", innermost: "80")).json
        let objects = String(repeating: #"{"a":"#, count: depth - 2)
        #expect(String(buffer: maps) == #"{"v":\#(objects){}"# + String(repeating: "}", count: depth - 1))
        #expect(try JSONText.object(maps).text == maps)
    }

    @Test(arguments: ["91", "81 a1 61"], ["90", "80", "91 c0"])
    func `Deeper nesting is refused`(open: String, innermost: String) {
        for depth in [1001, 1002, 20_000] {
            let message = self.nested(depth, open: open, innermost: innermost)
            let error = #expect(throws: MessageError.self) { try MessagePack.jsonObject(message) }
            #expect(error?.reason == .nesting)
            #expect(error?.offset == 3 + 999 * hex(open).readableBytes)
            #expect(throws: MessageError.self) { try LayerMessage.withoutChannels(message) }
        }
    }

    @Test
    func `Deep containers with more values after the inner ones close in their order`() throws {
        // Each level is an array of the next level followed by a 7; maps and arrays alternate.
        var message = hex("81 a1 76")
        var text = #"{"v":"#
        var ends = ""
        for level in 0..<40 {
            message.writeImmutableBuffer(level % 2 == 0 ? hex("92") : hex("82 a1 61"))
            text += level % 2 == 0 ? "[" : #"{"a":"#
            ends = (level % 2 == 0 ? ",7]" : #","b":7}"#) + ends
        }
        message.writeImmutableBuffer(hex("c0"))
        for level in (0..<40).reversed() {
            message.writeImmutableBuffer(level % 2 == 0 ? hex("07") : hex("a1 62 07"))
        }
        #expect(String(buffer: try MessagePack.jsonObject(message).json) == text + "null" + ends + "}")
    }
}
