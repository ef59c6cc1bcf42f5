import Broker
import NIOCore
import Testing

/// Writing and reading strings.
struct JSONStringTests {
    private func written(_ text: String) -> String {
        var output = ByteBuffer(string: ">")
        JSONText.appendString(text.utf8, to: &output)
        return String(buffer: output)
    }

    private func writtenByPython(_ text: String) -> String {
        var output = ByteBuffer(string: ">")
        JSONText.appendPythonString(text.utf8, to: &output)
        return String(buffer: output)
    }

    @Test(arguments: [
        ("", #">"""#), ("abc", #">"abc""#), ("Zoë 😀\u{2028}", ">\"Zoë 😀\u{2028}\""),
        ("a\"b\\c/d", #">"a\"b\\c/d""#),
        ("\u{8}\t\n\u{c}\r", #">"\b\t\n\f\r""#), ("\0\u{1f}\u{7f}", ">\"\\u0000\\u001f\u{7f}\""),
        ("a long plain text, and then\n", #">"a long plain text, and then\n""#),
    ])
    func `A string is escaped only where it must be`(text: String, expected: String) throws {
        #expect(self.written(text) == expected)
    }

    /// The expected strings are those of `json.dumps` in Python 3.11.
    @Test(arguments: [
        ("", #">"""#), ("abc/", #">"abc/""#), ("Zoë", #">"Zo\u00eb""#), ("😀", #">"\ud83d\ude00""#),
        ("\u{2028}\u{ffff}\u{10000}\u{10ffff}", #">"\u2028\uffff\ud800\udc00\udbff\udfff""#),
        ("\u{80}\u{7ff}\u{800}\u{d7ff}\u{e000}", #">"\u0080\u07ff\u0800\ud7ff\ue000""#),
        ("\u{8}\t\n\u{c}\r\"\\", #">"\b\t\n\f\r\"\\""#), ("\0\u{b}\u{1f}\u{7f}", #">"\u0000\u000b\u001f\u007f""#),
        ("a\u{7f}\u{7f}b", #">"a\u007f\u007fb""#), ("plain text then \u{7f}é", #">"plain text then \u007f\u00e9""#),
    ])
    func `A Python string has the text that json.dumps writes`(text: String, expected: String) {
        #expect(self.writtenByPython(text) == expected)
    }

    @Test
    func `Bytes that are not UTF-8 become the replacement character`() {
        var output = ByteBuffer()
        JSONText.appendString([0x61, 0xFF, 0xE2, 0x82, 0x62] as [UInt8], to: &output)
        #expect(String(buffer: output) == "\"a\u{FFFD}\u{FFFD}\u{FFFD}b\"")
        output.clear()
        JSONText.appendPythonString([0x61, 0xFF, 0xC3] as [UInt8], to: &output)
        #expect(String(buffer: output) == #""a\ufffd\ufffd""#)
    }

    @Test
    func `Any sequence of bytes can be written`() {
        let text = "é\n"
        var outputs = [ByteBuffer](repeating: ByteBuffer(), count: 4)
        JSONText.appendString(ByteBuffer(string: text).readableBytesView, to: &outputs[0])
        Array(text.utf8).withUnsafeBytes { JSONText.appendString($0, to: &outputs[1]) }
        JSONText.appendString(Array(text.utf8).lazy.map { $0 }, to: &outputs[2])
        JSONText.appendString(ByteBuffer(string: text).readableBytesUInt8Span, to: &outputs[3])
        for output in outputs {
            #expect(String(buffer: output) == #""é\n""#)
        }
    }

    @Test
    func `A string longer than was expected arrives whole`() {
        for count in [0, 1, 7, 8, 9, 100, 5000] {
            let text = String(repeating: "\u{1}", count: count) + "é"
            #expect(self.written(text) == #">""# + String(repeating: #"\u0001"#, count: count) + #"é""#)
            #expect(self.writtenByPython(text) == #">""# + String(repeating: #"\u0001"#, count: count) + #"\u00e9""#)
        }
    }

    @Test(arguments: [
        ("", ""), ("plain é", "plain é"), (#"\"\\\/\b\f\n\r\t"#, "\"\\/\u{8}\u{c}\n\r\t"),
        (#"\u0041\u00e9\u20AC"#, "Aé€"),
        (#"\ud83d\ude00!"#, "😀!"), (#"\ud83d"#, "\u{FFFD}"), (#"\ude00x"#, "\u{FFFD}x"),
        (#"\ud83d\u0041"#, "\u{FFFD}A"),
        (#"\ud83d\ud83d\ude00"#, "\u{FFFD}😀"), (#"\u00"#, #"\u00"#), (#"a\"#, #"a\"#),
        (#"\"#, #"\"#), (#"\ué123"#, #"\ué123"#),
    ])
    func `Escapes are read`(content: String, text: String) {
        #expect(JSONText.unescaped(ByteBuffer(string: content)) == text)
    }

    @Test
    func `What was written is read back`() throws {
        let text = String(String.UnicodeScalarView((0...0x2FF).compactMap(Unicode.Scalar.init))) + "\u{FFFF}😀\u{10FFFF}"
        for written in [self.written(text), self.writtenByPython(text)] {
            let string = written.dropFirst()
            #expect(JSONText.unescaped(ByteBuffer(substring: string.dropFirst().dropLast())) == text)
            let object = "{\"a\":\(string)}"
            #expect(String(buffer: try JSONText.object(ByteBuffer(string: object)).text) == object)
        }
    }
}
