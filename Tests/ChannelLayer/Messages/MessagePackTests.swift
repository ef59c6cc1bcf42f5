import ChannelLayer
import NIOCore
import Testing

struct MessagePackTests {
    /// The JSON of a value that is the only entry of a map.
    private func json(_ value: ByteBuffer) throws -> String {
        var message = hex("81 a1 76")
        message.writeImmutableBuffer(value)
        return String(buffer: try MessagePack.jsonObject(message).json)
    }

    private func failure(_ message: String) -> MessageError? {
        #expect(throws: MessageError.self) { try MessagePack.jsonObject(hex(message)) }
    }

    @Test(arguments: [
        ("00", "0"), ("7f", "127"), ("ff", "-1"), ("e0", "-32"),
        ("cc ff", "255"), ("cc 00", "0"), ("cd ffff", "65535"), ("ce ffffffff", "4294967295"),
        ("cf ffffffffffffffff", "18446744073709551615"), ("cf 0020000000000001", "9007199254740993"),
        ("d0 80", "-128"), ("d0 7f", "127"), ("d1 8000", "-32768"), ("d2 80000000", "-2147483648"),
        ("d3 8000000000000000", "-9223372036854775808"), ("d3 7fffffffffffffff", "9223372036854775807"),
        ("d3 ffffffffffffffff", "-1"),
    ])
    func `Integers keep all their digits`(bytes: String, text: String) throws {
        #expect(try self.json(hex(bytes)) == #"{"v":\#(text)}"#)
    }

    @Test(arguments: [
        ("c0", "null"), ("c2", "false"), ("c3", "true"),
        ("a0", #""""#), ("a3 61 22 0a", #""a\"\n""#), ("a1 7f", "\"\u{7f}\""), ("a1 01", #""\u0001""#),
        ("d9 02 c3 ab", #""ë""#), ("da 0001 61", #""a""#), ("db 00000001 61", #""a""#),
        ("c4 00", #""""#), ("c4 01 00", #""AA==""#), ("c4 02 00ff", #""AP8=""#), ("c5 0003 fbefff", #""++//""#),
        ("c6 00000004 01020304", #""AQIDBA==""#),
        ("90", "[]"), ("92 01 a1 61", #"[1,"a"]"#), ("dc 0001 c0", "[null]"), ("dd 00000002 01 90", "[1,[]]"),
        ("80", "{}"), ("82 a1 61 01 a1 62 80", #"{"a":1,"b":{}}"#), ("de 0001 a1 61 91 c0", #"{"a":[null]}"#),
        ("df 00000001 a0 c3", #"{"":true}"#), ("82 a1 61 01 a1 61 02", #"{"a":1,"a":2}"#),
    ])
    func `Every other type has its JSON`(bytes: String, text: String) throws {
        #expect(try self.json(hex(bytes)) == #"{"v":\#(text)}"#)
    }

    @Test
    func `A bin is a key as text, or as Base64 when it is no text`() throws {
        let message = try MessagePack.jsonObject(hex("82 c4 01 61 01 c4 02 ff00 02"))
        #expect(String(buffer: message.json) == #"{"a":1,"/wA=":2}"#)
    }

    @Test(arguments: ["05 01", "c0 01", "c3 01", "cb 0000000000000000 01", "90 01", "80 01", "ff 01", "cc 01 01"])
    func `A key that is neither str nor bin is refused`(entry: String) {
        #expect(self.failure("81 " + entry)?.reason == .key)
        #expect(self.failure("81 a1 61 81 " + entry)?.reason == .key)
    }

    @Test(arguments: [
        "d4 05 00", "d5 05 0000", "d6 ff 00000001", "d7 ff 0000000000000001", "d8 05 00000000000000000000000000000000",
        "c7 0c ff 000000000000000000000001", "c8 0001 05 00", "c9 00000001 05 00",
    ])
    func `Extension types and timestamps are refused`(value: String) {
        #expect(self.failure("81 a1 61" + value) == MessageError(offset: 3, reason: .ext))
    }

    @Test
    func `The byte that msgpack never uses is refused`() {
        #expect(self.failure("81 a1 61 c1") == MessageError(offset: 3, reason: .unusedByte))
    }

    @Test(arguments: ["", "c0", "01", "90", "91 80", "a1 61", "c1", "ff"])
    func `What is no map is refused`(message: String) {
        #expect(self.failure(message) == MessageError(offset: 0, reason: .notAMap))
    }

    @Test(arguments: [("81 a1 ff 01", 2), ("81 a1 61 a2 61 c3", 5), ("81 a1 61 a3 eda080", 4)])
    func `A str that is not UTF-8 is refused`(message: String, offset: Int) {
        #expect(self.failure(message) == MessageError(offset: offset, reason: .badUTF8))
    }

    @Test
    func `Bytes after the map are refused`() {
        #expect(self.failure("80 00") == MessageError(offset: 1, reason: .trailing))
    }

    @Test(arguments: [
        "df ffffffff", "df ffffffff a1 61 01", "de ffff", "8f",
        "81 a1 61 dd ffffffff", "81 a1 61 df ffffffff", "81 a1 61 db ffffffff", "81 a1 61 c6 ffffffff",
        "81 db ffffffff", "81 c6 ffffffff", "81 a1 61 dc ffff 00", "81 a1 61 dd 7fffffff dd 7fffffff",
        "df 80000000 a0 c0", "81 b0 5f5f617367695f6368616e6e656c5f5f dd ffffffff",
    ])
    func `A length beyond the end is refused without a try to hold that much`(message: String) {
        #expect(self.failure(message)?.reason == .truncated)
    }

    @Test
    func `A message that grows sixfold as JSON arrives whole`() throws {
        var message = hex("81 a1 76 da 1000")
        message.writeRepeatingByte(0x01, count: 4096)
        let text = String(buffer: try MessagePack.jsonObject(message).json)
        #expect(text == #"{"v":""# + String(repeating: #"\u0001"#, count: 4096) + "\"}")
    }

    @Test
    func `A buffer that was read from in part is read from there`() throws {
        var message = hex("ffff 82 aa 5f5f746f6373696e5f5f a2 5031 a1 61 05")
        message.moveReaderIndex(forwardBy: 2)
        let decoded = try MessagePack.jsonObject(message)
        #expect(decoded == DecodedMessage(json: ByteBuffer(string: #"{"a":5}"#), stamp: ByteBuffer(string: "P1")))
    }
}
