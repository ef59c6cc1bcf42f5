import Testing

@testable import Broker

struct GroupNameTests {
    @Test(arguments: ["a", "42isInsufficient", "A-Z_09.x", "...", "__proto__", String(repeating: "x", count: 99)])
    func `Letters, digits and three signs make a name`(text: String) throws {
        #expect(try GroupName(text).text == text)
        #expect("\(try GroupName(text))" == text)
    }

    @Test(arguments: [
        " ", "a b", "a!b", "a:b", "*", "?", "[a-z]", "{x}", "a/b", "a\\b", "a\0", "a\r\n", "a\n", "é", "e\u{301}", "٣",
        "\u{202e}a",
        "a\u{200b}", "$a", "a;b", "a'b", "a\"b", "%61", "a@b", "`", "^",
    ])
    func `Any other character is refused in words that do not repeat it`(text: String) {
        let error = #expect(throws: NameError.self) { try GroupName(text) }
        #expect(
            error?.description
                == "the group name has a character other than ASCII letters, digits, \"-\", \"_\" and \".\"")
    }

    @Test func `Every single byte is either allowed or not, and no more than the 65 are`() {
        let allowed = (UInt8.min...127).filter { (try? GroupName(String(UnicodeScalar($0)))) != nil }
        #expect(allowed.count == 26 + 26 + 10 + 3)
    }

    @Test func `A name has 1 to 99 characters`() {
        #expect(throws: NameError(reason: "is empty")) { try GroupName("") }
        #expect(throws: NameError(reason: "has 100 characters, more than 99")) {
            try GroupName(String(repeating: "x", count: 100))
        }
        #expect(GroupName.maximumLength == 99)
    }
}

struct ConnectionIDTests {
    @Test(arguments: [
        (UInt64(0), "0000000000000000"), (1, "0000000000000001"), (0xABCDEF, "0000000000abcdef"),
        (UInt64.max, "ffffffffffffffff"),
    ])
    func `A connection's number is written in 16 hex digits`(value: UInt64, text: String) {
        #expect(ConnectionID(value: value).description == text)
    }

    @Test func `Random numbers differ`() {
        #expect(Set((0..<10_000).map { _ in ConnectionID.random() }).count == 10_000)
    }
}
