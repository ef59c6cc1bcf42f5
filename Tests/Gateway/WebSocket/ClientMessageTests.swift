import Foundation
import NIOCore
import Testing

@testable import Gateway

/// `receive: group_send`: a browser chooses everything but the type.
struct ClientMessageTests {
    private func message(_ text: String) -> String? {
        ClientMessage.message(from: ByteBuffer(string: text)).map { String(buffer: $0) }
    }

    @Test(arguments: [
        (#"{}"#, #"{"type":"receive"}"#),
        (#"{"a":1}"#, #"{"a":1,"type":"receive"}"#),
        (#"{"type":"evil"}"#, #"{"type":"receive"}"#),
        (#"{"type":"evil","a":1}"#, #"{"a":1,"type":"receive"}"#),
        (#"{"a":1,"type":"evil"}"#, #"{"a":1,"type":"receive"}"#),
        (#"{"type":"x","type":{"b":[1]},"a":2,"type":null}"#, #"{"a":2,"type":"receive"}"#),
        (
            #"{"n":{"type":"kept"},"l":[{"type":"kept"}]}"#,
            #"{"n":{"type":"kept"},"l":[{"type":"kept"}],"type":"receive"}"#
        ),
        (#"{"Type":"kept","types":1,"":0}"#, #"{"Type":"kept","types":1,"":0,"type":"receive"}"#),
        (
            #"{"__tocsin__":"1.1:9","__asgi_channel__":["x"],"a":12345678901234567890}"#,
            #"{"a":12345678901234567890,"type":"receive"}"#
        ),
    ])
    func `The type is always receive, and everything else stays as it was written`(text: String, message: String) {
        #expect(self.message(text) == message)
    }

    @Test(arguments: [
        #"{"\u0074ype":"evil"}"#, #"{"t\u0079pe":"evil"}"#, #"{"\u0074\u0079\u0070\u0065":"evil"}"#,
        #"{"typ\u0065":"evil","a":1}"#,
        #"{"a":1,"\u0074ype":"evil","type":"evil","\u0074ype":"evil"}"#, #"{"TYPE":1,"type\u0000":2,"typ\u0045":3}"#,
        #"{ "type" : "evil" }"#, "{\n\"type\"\t:\r\n\"evil\"}", #"  {"type":"evil"}  "#,
    ])
    func `However the browser spells it, Python reads receive`(text: String) throws {
        let message = try #require(self.message(text))
        // Of several entries with one key the last counts, for Python's json as for this decoder.
        #expect(message.hasSuffix(#""type":"receive"}"#))
        let object = try #require(try JSONSerialization.jsonObject(with: Data(message.utf8)) as? [String: Any])
        #expect(object["type"] as? String == "receive")
    }

    @Test(arguments: [
        "", " ", "null", "1", #""text""#, "[]", #"[{"a":1}]"#, "{", "{}{}", #"{"a":}"#, "{'a':1}", #"{"a":1,}"#,
        "\u{feff}{}", "hello",
        #"{"a":"\#u{1}"}"#, String(repeating: "[", count: 65_536), String(repeating: #"{"a":"#, count: 10_000),
    ])
    func `What is no JSON object is no message`(text: String) {
        #expect(message(text) == nil)
    }

    @Test func `Text that is no UTF-8 inside is no message`() {
        #expect(ClientMessage.message(from: ByteBuffer(bytes: [0x7B, 0x22, 0xFF, 0x22, 0x3A, 0x31, 0x7D])) == nil)
    }
}
