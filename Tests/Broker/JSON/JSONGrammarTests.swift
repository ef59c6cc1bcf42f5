import Broker
import NIOCore
import Testing

/// What is valid JSON and what is not (RFC 8259).
struct JSONGrammarTests {
    private func failure(_ text: ByteBuffer) -> JSONError? {
        #expect(throws: JSONError.self) { try JSONText.object(text) }
    }

    @Test(arguments: [
        "{}", "{ }", #"{"":""}"#, #"{"a":1}"#, #"{"a":1,"a":2}"#, #"{"a":[]}"#, #"{"a":{}}"#,
        #"{"a":[1,[2,{"b":[ ]}]]}"#, #"{"a":0}"#, #"{"a":-0}"#, #"{"a":0.5}"#, #"{"a":-10.250}"#,
        #"{"a":1e5}"#, #"{"a":1E+5}"#, #"{"a":0e-05}"#,
        #"{"a":1.5e300000}"#, #"{"a":123456789012345678901234567890}"#,
        #"{"a":true,"b":false,"c":null}"#, "{\t\"a\" :\t1 ,\"b\":2\t}",
        #"{"a":"\"\\\/\b\f\n\r\t\u00e9\uD83D\uDE00"}"#, #"{"a":"\ud800"}"#, #"{"a":"\udc00\ud800x"}"#,
        "{\"a\":\"\u{7f}\u{80}\u{7ff}\u{800}\u{d7ff}\u{e000}\u{ffff}\u{10000}\u{10ffff}\u{2028}\"}", #"{"ключ":"😀"}"#,
    ])
    func `Valid objects stay as they are`(text: String) throws {
        let object = try JSONText.object(ByteBuffer(string: text))
        #expect(String(buffer: object.text) == text)
        #expect(!object.hadLineBreaks)
        #expect(object.stamp == nil && object.channels == nil)
    }

    @Test(arguments: ["", " ", "\n", "[]", "1", "null", "\"{}\"", "\u{FEFF}{}", "NaN"])
    func `Only an object is an object`(text: String) {
        #expect(self.failure(ByteBuffer(string: text))?.reason == .notAnObject)
    }

    @Test(arguments: [
        (#"{,}"#, 1), (#"{"a"}"#, 4), (#"{"a":}"#, 5), (#"{"a":,}"#, 5), (#"{"a":1,}"#, 7), (#"{"a":1 "b":2}"#, 7),
        (#"{a:1}"#, 1), (#"{'a':1}"#, 1), (#"{1:1}"#, 1), (#"{"a":1]"#, 6), (#"{"a":[1}"#, 7), (#"{"a":[,]}"#, 6),
        (#"{"a":[1,]}"#, 8), (#"{"a":[1 2]}"#, 8), (#"{"a":{"b":1,}}"#, 12), (#"{"a":{"b" 1}}"#, 10), (#"{"a":]}"#, 5),
        (#"{"a":tru}"#, 8), (#"{"a":True}"#, 5), (#"{"a":nul1}"#, 8), (#"{"a":nan}"#, 6), (#"{"a":+1}"#, 5),
        (#"{"a":.5}"#, 5), (#"{"a":-NaN}"#, 6), (#"{"a":-Inf}"#, 9), (#"{"a":0x10}"#, 6), (#"{"a":1/**/}"#, 6),
        ("{\"a\":\u{b}1}", 5), ("{\"a\":\u{a0}1}", 5), ("{\"a\"\0:1}", 4), (#"{"a"::1}"#, 5), ("{\"a\":1e5e5}", 8),
    ])
    func `A byte out of place is refused where it stands`(text: String, offset: Int) throws {
        let error = try #require(self.failure(ByteBuffer(string: text)))
        #expect(error.offset == offset)
        #expect(error.reason == .unexpectedByte || error.reason == .badNumber)
    }

    @Test(arguments: ["01", "-01", "00", "1.", "1.e5", "-", "1e", "1e+", "-.5", "1.x", "--1"])
    func `Malformed numbers are refused`(number: String) {
        #expect(self.failure(ByteBuffer(string: #"{"a":\#(number)}"#))?.reason == .badNumber)
    }

    @Test(arguments: [
        #"\x41"#, #"\u12"#, #"\u12g4"#, #"\u"#, #"\'"#, #"\0"#, #"\U0041"#, "\n", "\t", "\r", "\0", "\u{1f}",
    ])
    func `Malformed strings are refused`(content: String) {
        #expect(self.failure(ByteBuffer(string: #"{"a":"\#(content)"}"#))?.reason == .badString)
        #expect(self.failure(ByteBuffer(string: #"{"\#(content)":1}"#))?.reason == .badString)
    }

    @Test(
        arguments: [
            [0x80], [0xBF], [0xC0, 0x80], [0xC1, 0xBF], [0xC3], [0xC3, 0x28], [0xE0, 0x9F, 0xBF], [0xE2, 0x82],
            [0xED, 0xA0, 0x80], [0xED, 0xBF, 0xBF], [0xF0, 0x8F, 0xBF, 0xBF], [0xF0, 0x9F, 0x98],
            [0xF4, 0x90, 0x80, 0x80],
            [0xF5, 0x80, 0x80, 0x80], [0xFE], [0xFF], [0xE2, 0x28, 0xA1], [0xF0, 0x9F, 0x28, 0x80],
        ] as [[UInt8]])
    func `Strings that are not UTF-8 are refused`(content: [UInt8]) {
        for padding in ["", "a", "aaaaaaa", "aaaaaaaaaaaaaaaaaaaa", "é"] {
            var text = ByteBuffer(string: #"{"a":""# + padding)
            let offset = text.readableBytes
            text.writeBytes(content)
            text.writeString(#""}"#)
            #expect(self.failure(text) == JSONError(offset: offset, reason: .badUTF8))
        }
    }

    @Test(arguments: ["{} {}", "{}x", "{},", "{}\0", "{\"a\":1}\n]"])
    func `Nothing but white space may follow`(text: String) {
        #expect(self.failure(ByteBuffer(string: text))?.reason == .trailing)
    }

    @Test
    func `An object that was cut short anywhere is refused`() {
        let text = #"{"a": [1, -0.5e+10, true, NaN, -Infinity, "\u00e9\n😀", {"b": {}}], "__tocsin__": "x"}"#
        let whole = ByteBuffer(string: text)
        for length in 0..<whole.readableBytes {
            let error = self.failure(whole.getSlice(at: 0, length: length)!)
            // A character with some of its bytes missing is not UTF-8.
            #expect([.unterminated, .notAnObject, .badUTF8].contains(error?.reason), "\(length)")
        }
    }

    @Test(arguments: [2, 3, 63, 64, 65, 99, 128, 999, 1000])
    func `Nesting is allowed up to a thousand deep`(depth: Int) throws {
        for (open, inner, close) in [("[", "1", "]"), (#"{"a":"#, "{}", "}"), ("[", "", "]")] {
            let levels = inner == "{}" ? depth - 2 : depth - 1
            let text =
                #"{"a":"# + String(repeating: open, count: levels) + inner + String(repeating: close, count: levels)
                + "}"
            #expect(String(buffer: try JSONText.object(ByteBuffer(string: text)).text) == text)
        }
    }

    @Test(arguments: [1001, 1002, 1025, 500_000])
    func `Deeper nesting is refused`(depth: Int) {
        for (open, length) in [("[", 1), (#"{"a":"#, 5)] {
            let text = #"{"a":"# + String(repeating: open, count: depth - 1)
            #expect(self.failure(ByteBuffer(string: text)) == JSONError(offset: 5 + 999 * length, reason: .nesting))
        }
    }

    @Test
    func `An error says what and where but nothing of the text`() {
        let error = self.failure(ByteBuffer(string: #"{"secret": hidden}"#))
        #expect(error?.description == "unexpected byte in JSON at byte 11")
    }
}
