import NIOCore
import Testing

@testable import Broker

@Suite struct JSONFieldsTests {
    private func fields(_ text: String) throws -> JSONFields { try JSONFields(ByteBuffer(string: text)) }

    @Test func `Values keep their text`() throws {
        let fields = try fields(#" { "a" : 1.50 , "b":{"c":[1, 2]},"d":"x\ny" , "e":null,"f":true } "#)
        #expect(fields.raw("a") == ByteBuffer(string: "1.50"))
        #expect(fields.raw("b") == ByteBuffer(string: #"{"c":[1, 2]}"#))
        #expect(fields.object("b")?.raw("c") == ByteBuffer(string: "[1, 2]"))
        #expect(fields.string("d") == "x\ny")
        #expect(fields.raw("e") == nil)
        #expect(fields.flag("f"))
        #expect(fields.integer("a") == nil)
    }

    @Test func `The last of several entries of one key counts, however it is spelled`() throws {
        let fields = try fields(#"{"id":1,"\u0069d":2}"#)
        #expect(fields.integer("id") == 2)
        #expect(fields.keys.count == 1)
    }

    @Test(arguments: [("0", 0), ("-7", -7), ("9223372036854775807", Int64.max)])
    func `Whole numbers are read in full`(text: String, number: Int64) throws {
        #expect(try fields("{\"n\":\(text)}").integer("n") == number)
    }

    @Test(arguments: ["9223372036854775808", "1.0", "1e3", "\"1\"", "{}", "null"])
    func `What is no whole number that fits is none`(text: String) throws {
        #expect(try fields("{\"n\":\(text)}").integer("n") == nil)
    }

    @Test(arguments: ["", "[]", "1", "{", #"{"a"}"#, #"{"a":1}x"#, #"{"a":1,}"#])
    func `What is no object is refused`(text: String) {
        #expect(throws: JSONError.self) { try fields(text) }
    }

    @Test func `The empty object has no keys`() throws {
        #expect(try fields("{}").keys.isEmpty)
    }

    @Test(arguments: [
        ("[]", []), ("[ ]", []), ("[1]", ["1"]),
        (#"[ {"a":[1,2]} , "x,]" ,null,[[]] ]"#, [#"{"a":[1,2]}"#, #""x,]""#, "null", "[[]]"]),
    ])
    func `The elements of an array keep their text`(array: String, elements: [String]) throws {
        #expect(try fields("{\"a\":1, \"n\": \(array) }").elements("n")?.map { String(buffer: $0) } == elements)
    }

    @Test(arguments: ["1", "{}", "null", "\"[]\""])
    func `What is no array has no elements`(text: String) throws {
        #expect(try fields("{\"n\":\(text)}").elements("n") == nil)
        #expect(try fields("{}").elements("n") == nil)
    }
}
