import Foundation
import NIOCore
import Testing

@testable import Broker

struct JSONWriterTests {
    private func object(_ body: (inout JSONWriter) -> Void) -> String {
        String(buffer: JSONWriter.object(body))
    }

    private func array(_ body: (inout JSONWriter) -> Void) -> String {
        String(buffer: JSONWriter.array(.compact, body))
    }

    @Test func `Every kind of value has its text`() {
        #expect(
            array { json in
                json.string("a")
                json.string(nil)
                json.number(0)
                json.number(-7 as Int32)
                json.number(UInt64.max)
                json.number(Int64.min)
                json.number(UInt8.max)
                json.number(0.1)
                json.number(1e300)
                json.number(-0.0)
                json.number(Double.nan)
                json.number(-Double.infinity)
                json.bool(true)
                json.bool(false)
                json.null()
                json.raw("1.500")
                json.raw(ByteBuffer(string: #"{"a": 1}"#))
                json.raw(nil as ByteBuffer?)
                json.raw { $0.writeString("[1]") }
                json.object { _ in }
                json.array { _ in }
            }
                == #"["a",null,0,-7,18446744073709551615,-9223372036854775808,255,0.1,1e+300,-0.0,null,null,"#
                + #"true,false,null,1.500,{"a": 1},null,[1],{},[]]"#)
    }

    @Test func `Every kind of entry has a key`() {
        #expect(
            object { json in
                json.string("s", "a")
                json.string("none", nil)
                json.number("n", 5)
                json.number("d", 2.5)
                json.bool("b", true)
                json.raw("r", "1.50")
                json.raw("j", ByteBuffer(string: "{}"))
                json.raw("k", nil as ByteBuffer?)
                json.object("o") { $0.number("n", 1) }
                json.array("a") { $0.number(1) }
                json.key("last")
                json.null()
            }
                == #"{"s":"a","none":null,"n":5,"d":2.5,"b":true,"r":1.50,"j":{},"k":null,"o":{"n":1},"a":[1],"last":null}"#
        )
    }

    @Test func `Commas stand between neighbours only, however deep`() {
        #expect(object { _ in } == "{}")
        #expect(array { _ in } == "[]")
        #expect(
            array { json in
                json.array { json in
                    json.array { _ in }
                    json.object { json in
                        json.array("a") { $0.object { _ in } }
                        json.object("b") { _ in }
                    }
                }
                json.array { $0.null() }
            } == #"[[[],{"a":[{}],"b":{}}],[null]]"#)
    }

    @Test func `A list may have a line for each element, and only for those`() {
        let text = JSONWriter.array(.lines) { json in
            for n in 1...2 {
                json.object { json in
                    json.number("n", n)
                    json.array("a") { json in for _ in 0..<n { json.null() } }
                }
            }
        }
        #expect(String(buffer: text) == "[{\"n\":1,\"a\":[null]},\n {\"n\":2,\"a\":[null,null]}]")
    }

    @Test func `Only what must be escaped is, in keys as in values`() {
        let controls = String(String.UnicodeScalarView((0..<0x20).map { UnicodeScalar($0 as UInt8) }))
        let escapes =
            #"\u0000\u0001\u0002\u0003\u0004\u0005\u0006\u0007\b\t\n\u000b\f\r\u000e\u000f"#
            + #"\u0010\u0011\u0012\u0013\u0014\u0015\u0016\u0017\u0018\u0019\u001a\u001b\u001c\u001d\u001e\u001f"#
        for (text, expected) in [
            (controls, escapes), (#"a"b\c/"#, #"a\"b\\c/"#), ("\u{7f}\u{2028}\u{2029}", "\u{7f}\u{2028}\u{2029}"),
            ("é😀\u{10FFFF}\u{FFFD}", "é😀\u{10FFFF}\u{FFFD}"), ("e\u{301}", "e\u{301}"), ("", ""),
        ] {
            let written = object { $0.string(text, text) }
            #expect(written.utf8.elementsEqual("{\"\(expected)\":\"\(expected)\"}".utf8))
        }
    }

    @Test func `What was there before stays, and its storage is not copied`() {
        var text = ByteBuffer()
        text.reserveCapacity(1000)
        text.writeString("data: ")
        let storage = text.withVeryUnsafeBytes { $0.baseAddress }
        text.writeJSONObject { $0.number("n", 1) }
        text.writeString("\n")
        #expect(String(buffer: text) == "data: {\"n\":1}\n")
        #expect(text.withVeryUnsafeBytes { $0.baseAddress } == storage)

        var json = JSONWriter(appendingTo: ByteBuffer(string: "x="))
        json.string("y")
        #expect(String(buffer: json.text) == #"x="y""#)
    }

    @Test func `An error of what is written comes through`() {
        struct Failure: Error {}
        #expect(throws: Failure.self) {
            try JSONWriter.object { json in
                try json.array("a") { _ throws(Failure) in throw Failure() }
            }
        }
    }
}
