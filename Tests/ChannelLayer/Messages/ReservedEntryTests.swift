import ChannelLayer
import NIOCore
import Testing

/// `__tocsin__` and `__asgi_channel__`, in both formats.
struct ReservedEntryTests {
    private static let stampKey = "aa 5f5f746f6373696e5f5f"
    private static let channelsKey = "b0 5f5f617367695f6368616e6e656c5f5f"

    struct Case: Sendable {
        var message: ByteBuffer
        var json: String
        var stamp: String?
        var channels: [String] = []
        /// The message without the entries, byte for byte.
        var stripped: ByteBuffer

        static func msgpack(
            _ bytes: String, _ json: String, stamp: String? = nil, channels: [String] = [], stripped: String
        ) -> Case {
            Case(message: hex(bytes), json: json, stamp: stamp, channels: channels, stripped: hex(stripped))
        }

        static func json(
            _ text: String, _ json: String, stamp: String? = nil, channels: [String] = [], stripped: String
        ) -> Case {
            Case(
                message: ByteBuffer(string: text), json: json, stamp: stamp, channels: channels,
                stripped: ByteBuffer(string: stripped))
        }
    }

    static let cases: [Case] = [
        .msgpack("82 \(stampKey) a1 50 a1 61 01", #"{"a":1}"#, stamp: "P", stripped: "81 a1 61 01"),
        .msgpack("82 a1 61 01 \(stampKey) a1 50", #"{"a":1}"#, stripped: "81 a1 61 01"),
        .msgpack("82 \(stampKey) 05 a1 61 01", #"{"a":1}"#, stripped: "81 a1 61 01"),
        .msgpack("82 \(stampKey) 91 80 a1 61 01", #"{"a":1}"#, stripped: "81 a1 61 01"),
        .msgpack("81 \(stampKey) a1 50", "{}", stamp: "P", stripped: "80"),
        .msgpack("82 \(stampKey) a1 50 \(stampKey) a1 51", "{}", stamp: "P", stripped: "80"),
        .msgpack("82 \(channelsKey) a1 63 a1 61 01", #"{"a":1}"#, channels: ["c"], stripped: "81 a1 61 01"),
        .msgpack(
            "82 a1 61 01 \(channelsKey) 92 a1 63 a1 64", #"{"a":1}"#, channels: ["c", "d"], stripped: "81 a1 61 01"),
        .msgpack("81 \(channelsKey) 90", "{}", stripped: "80"),
        .msgpack("82 \(channelsKey) a1 63 \(channelsKey) 91 a1 64", "{}", channels: ["d"], stripped: "80"),
        .msgpack(
            "81 a1 61 81 \(channelsKey) 05", #"{"a":{"__asgi_channel__":5}}"#,
            stripped: "81 a1 61 81 \(channelsKey) 05"),
        .msgpack("de 0002 \(stampKey) a1 50 a1 61 01", #"{"a":1}"#, stamp: "P", stripped: "81 a1 61 01"),
        .msgpack("df 00000001 a1 61 cd 0001", #"{"a":1}"#, stripped: "df 00000001 a1 61 cd 0001"),
        .json(#"{"__tocsin__":"5f3a.9c:17","a":1}"#, #"{"a":1}"#, stamp: "5f3a.9c:17", stripped: #"{"a":1}"#),
        .json(#"{"__tocsin__":"P"}"#, "{}", stamp: "P", stripped: "{}"),
        .json(#"{"a": 1, "__asgi_channel__": "c"}"#, #"{"a": 1}"#, channels: ["c"], stripped: #"{"a": 1}"#),
        .json(
            #"{"__asgi_channel__": ["c", "d"], "a": 1}"#, #"{ "a": 1}"#, channels: ["c", "d"], stripped: #"{ "a": 1}"#),
        .json(#"{"__asgi_channel__":[ ],"a":[NaN]}"#, #"{"a":[null]}"#, stripped: #"{"a":[null]}"#),
        .json(#"{"__asgi_channel__":"\u0063\n\ud83d\ude00\"\\"}"#, "{}", channels: ["c\n😀\"\\"], stripped: "{}"),
        .json(" {\"a\":\n1} ", #"{"a":1}"#, stripped: #"{"a":1}"#),
    ]

    @Test(arguments: cases)
    func `Reserved entries go into their own parts and out of the message`(of example: Case) throws {
        let decoded = try WireMessage.decode(example.message)
        #expect(String(buffer: decoded.json) == example.json)
        #expect(decoded.stamp.map { String(buffer: $0) } == example.stamp)
        let (stripped, channels) = try LayerMessage.withoutChannels(example.message)
        #expect(stripped == example.stripped)
        #expect(channels == example.channels)
    }

    @Test(arguments: ["05", "c0", "80", "91 05", "92 a1 63 c0", "91 91 a1 63", "91 c4 01 63", "c4 01 63"])
    func `Channels that are no names cannot be relayed in msgpack, but shown`(value: String) throws {
        let message = hex("82 \(Self.channelsKey)" + value + "a16101")
        let error = #expect(throws: MessageError.self) { try LayerMessage.withoutChannels(message) }
        #expect(error?.reason == .channels)
        #expect(String(buffer: try WireMessage.decode(message).json) == #"{"a":1}"#)
    }

    @Test(arguments: [
        "5", "null", "true", "{}", #"{"a":"b"}"#, "[5]", "[null]", #"["c",{}]"#, #"[["c"]]"#, "[[]]", "-1e5",
    ])
    func `Channels that are no names cannot be relayed in JSON, but shown`(value: String) throws {
        let message = ByteBuffer(string: #"{"__asgi_channel__": \#(value)}"#)
        let error = #expect(throws: MessageError.self) { try LayerMessage.withoutChannels(message) }
        #expect(error?.reason == .channels)
        #expect((error?.offset ?? 0) >= 21)
        #expect(String(buffer: try WireMessage.decode(message).json) == "{}")
    }

    @Test(arguments: [1, 15, 16, 17, 65_535, 65_536, 65_537])
    func `The new header of a map is the shortest there is`(count: Int) throws {
        var entries = ByteBuffer()
        for _ in 0..<count {
            entries.writeMultipleIntegers(UInt8(0xA1), UInt8(0x61), UInt8(0xC0))
        }
        for header in [hex("df"), count < 65_535 ? hex("de") : hex("df")] {
            var message = header
            if header == hex("de") {
                message.writeInteger(UInt16(count + 1))
            } else {
                message.writeInteger(UInt32(count + 1))
            }
            message.writeImmutableBuffer(entries)
            message.writeImmutableBuffer(hex("\(Self.channelsKey) 91 a1 63"))
            var expected = ByteBuffer()
            switch count {
            case ...15: expected.writeInteger(UInt8(0x80 + count))
            case ...65_535: expected.writeMultipleIntegers(UInt8(0xDE), UInt16(count))
            default: expected.writeMultipleIntegers(UInt8(0xDF), UInt32(count))
            }
            expected.writeImmutableBuffer(entries)
            let (stripped, channels) = try LayerMessage.withoutChannels(message)
            #expect(stripped == expected)
            #expect(channels == ["c"])
        }
    }
}
