import Testing

@testable import tocsin

struct TextTableTests {
    @Test func `Columns are as wide as their widest cell, and no line ends in spaces`() {
        var table = TextTable("GROUP", "UNREAD", "NOTE")
        table.add("42.inbox", "2", "x")
        table.add("é", "10", "")
        #expect(table.lines == ["GROUP     UNREAD  NOTE", "42.inbox  2       x", "é         10"])
    }

    @Test func `A terminal is not told what to do by the names of users`() {
        var table = TextTable("USER")
        table.add("a\u{1B}[2Jb\nc\u{9B}")
        #expect(table.lines == ["USER", "a\u{FFFD}[2Jb\u{FFFD}c\u{FFFD}"])
    }

    @Test(arguments: [(0.0, "1970-01-01T00:00:00Z"), (1_795_351_382.5, "2026-11-22T12:43:02Z")])
    func `Times are those of a calendar`(seconds: Double, text: String) {
        #expect(readable(seconds) == text)
        #expect(readable(nil) == "-")
    }
}
