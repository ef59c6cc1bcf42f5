import Broker
import NIOCore
import Testing

/// What `JSONText.object` removes and rewrites.
struct JSONObjectTests {
    private func object(
        _ text: String,
        removing reserved: JSONText.ReservedEntries = .all,
        form: JSONText.Form = .oneLine
    ) throws -> (text: String, stamp: String?, channels: String?) {
        let buffer = ByteBuffer(string: text)
        let object = try JSONText.object(buffer, removing: reserved, form: form)
        return (
            String(buffer: object.text),
            object.stamp.map { String(buffer: $0) },
            object.channels.flatMap { buffer.getString(at: $0.lowerBound, length: $0.count) }
        )
    }

    @Test(arguments: [
        (#"{"__tocsin__":"P","a":1}"#, #"{"a":1}"#),
        (#"{"__tocsin__":"P", "a":1}"#, #"{ "a":1}"#),
        (#"{"__tocsin__": "P" , "a":1}"#, #"{  "a":1}"#),
        (#"{"__tocsin__":"P"}"#, "{}"),
        (#"{ "__tocsin__" : "P" }"#, "{  }"),
        (#"{"a":1,"__tocsin__":"P"}"#, #"{"a":1}"#),
        (#"{"a":1 , "__tocsin__":"P" }"#, #"{"a":1  }"#),
        (#"{"a":1,"__tocsin__":"P","b":2}"#, #"{"a":1,"b":2}"#),
        (#"{"__tocsin__":"P","__asgi_channel__":"c","a":1}"#, #"{"a":1}"#),
        (#"{"__tocsin__":"P","__asgi_channel__":"c"}"#, "{}"),
        (#"{"__asgi_channel__":1,"a":1,"__asgi_channel__":2,"__tocsin__":3,"b":2,"__tocsin__":4}"#, #"{"a":1,"b":2}"#),
        (#"{"a":{"__tocsin__":"P","__asgi_channel__":"c"}}"#, #"{"a":{"__tocsin__":"P","__asgi_channel__":"c"}}"#),
        (#"{"a":["__tocsin__"],"b":"__tocsin__"}"#, #"{"a":["__tocsin__"],"b":"__tocsin__"}"#),
        (
            #"{"__tocsin":1,"__tocsin___":2,"_tocsin__":3,"__TOCSIN__":4}"#,
            #"{"__tocsin":1,"__tocsin___":2,"_tocsin__":3,"__TOCSIN__":4}"#
        ),
    ])
    func `Reserved entries are removed with one comma`(text: String, expected: String) throws {
        #expect(try self.object(text).text == expected)
        #expect(try self.object(text, form: .original).text == expected)
        #expect(try self.object(expected).text == expected)
    }

    @Test
    func `Removal can be left to others, who are told of the entries all the same`() throws {
        let text = #"{"__tocsin__":"P","__asgi_channel__":["c"]}"#
        #expect(try self.object(text, removing: []) == (text, "P", #"["c"]"#))
        #expect(try self.object(text, removing: .stamp) == (#"{"__asgi_channel__":["c"]}"#, "P", #"["c"]"#))
        #expect(try self.object(text, removing: .channels) == (#"{"__tocsin__":"P"}"#, "P", #"["c"]"#))
    }

    @Test(
        arguments: [
            (#"{"__tocsin__":"5f3a.9c01ab23de:17","a":1}"#, "5f3a.9c01ab23de:17"),
            (" {\n\"__tocsin__\" : \"\" }", ""),
            (#"{"__tocsin__":"a\"\u0041","__tocsin__":"b"}"#, #"a\"\u0041"#),
            (#"{"a":1,"__tocsin__":"P"}"#, nil), (#"{"__asgi_channel__":"c","__tocsin__":"P"}"#, nil),
            (#"{"__tocsin__":5}"#, nil), (#"{"__tocsin__":["P"]}"#, nil),
            (#"{"__tocsin__":null,"__tocsin__":"P"}"#, nil),
            ("{}", nil),
        ] as [(String, String?)])
    func `A stamp counts only as the first entry and as a string`(text: String, stamp: String?) throws {
        #expect(try self.object(text).stamp == stamp)
    }

    @Test
    func `Of several channels entries the last counts`() throws {
        let text = #"{"__asgi_channel__":"c","a":1,"__asgi_channel__": [ "d" ] }"#
        #expect(try self.object(text).channels == #"[ "d" ]"#)
    }

    @Test(arguments: [
        ("{\n  \"a\": 1,\r\n\t\"b\": [\n1,\n2\r]\n}", "{  \"a\": 1,\t\"b\": [1,2]}"),
        ("{\n}", "{}"), ("{\"a\"\n:\n{\n\"b\"\n:\n1\n}\n}", #"{"a":{"b":1}}"#),
        ("{\n\"__tocsin__\"\n:\n\"P\"\n,\n\"a\"\n:1}", #"{"a":1}"#),
        ("{\"a\":1\n,\n\"__tocsin__\":\n[\n]\n,\n\"b\":2\n}", #"{"a":1,"b":2}"#),
        ("{\"a\":1,\n\"__tocsin__\":[NaN,\n1]}", #"{"a":1}"#),
    ])
    func `Line breaks between tokens are dropped`(text: String, expected: String) throws {
        let object = try JSONText.object(ByteBuffer(string: text))
        #expect(String(buffer: object.text) == expected)
        #expect(object.hadLineBreaks)
        #expect(try JSONText.object(object.text).text == object.text)
    }

    @Test
    func `White space around the object is no part of it`() throws {
        let object = try JSONText.object(ByteBuffer(string: "\n\t {\"a\": 1}\r\n "))
        #expect(String(buffer: object.text) == #"{"a": 1}"#)
        #expect(!object.hadLineBreaks)
    }

    @Test
    func `What Python writes for floats that JSON lacks becomes null`() throws {
        let text = #"{"a": NaN, "b": [Infinity, -Infinity, "NaN"], "c": {"d": -Infinity}}"#
        #expect(try self.object(text).text == #"{"a": null, "b": [null, null, "NaN"], "c": {"d": null}}"#)
        #expect(try self.object(text, form: .original).text == text)
    }

    @Test
    func `The original form keeps line breaks and tells of them`() throws {
        let text = "{\"a\":\n1,\r\"b\":\t2}"
        let object = try JSONText.object(ByteBuffer(string: text), form: .original)
        #expect(String(buffer: object.text) == text)
        #expect(object.hadLineBreaks)
    }

    @Test
    func `A text that needs no change shares the storage of the input`() throws {
        var buffer = ByteBuffer(string: #"xx {"a": [1, "é"], "b": {}} "#)
        buffer.moveReaderIndex(forwardBy: 2)
        let text = try JSONText.object(buffer).text
        let shares = text.withUnsafeReadableBytes { text in
            buffer.withUnsafeReadableBytes { $0.baseAddress! + 1 == text.baseAddress! }
        }
        #expect(shares)
    }

    @Test
    func `A stamp and channels are found behind bytes that were read before`() throws {
        var buffer = ByteBuffer(string: #"xxx{"__tocsin__":"P","__asgi_channel__":"c","a":1}"#)
        buffer.moveReaderIndex(forwardBy: 3)
        let object = try JSONText.object(buffer)
        #expect(object.stamp.map { String(buffer: $0) } == "P")
        #expect(String(buffer: object.text) == #"{"a":1}"#)
        let channels = try #require(object.channels)
        #expect(buffer.slice().getString(at: channels.lowerBound, length: channels.count) == #""c""#)
    }
}
