import Testing

@testable import Broker

@Suite struct GroupPatternTests {
    @Test(arguments: [
        ("news", "news", true), ("news", "new", false), ("*", "anything", true), ("42*", "42isInsufficient", true),
        ("42*", "43isInsufficient", false), ("*isInsufficient", "42isInsufficient", true), ("a?c", "abc", true),
        ("a?c", "ac", false), ("a*b*c", "aXbYbZc", true), ("a*b*c", "aXbYbZ", false), ("**", "a", true),
        ("", "a", false),
        ("a.c", "abc", false), ("[a]", "a", false),
    ])
    func `A glob matches whole names`(pattern: String, name: String, matches: Bool) throws {
        #expect(GroupPattern(pattern).matches(try GroupName(name)) == matches)
    }

    @Test func `A pattern that backtracks much ends soon`() throws {
        let pattern = GroupPattern(String(repeating: "a*", count: 40) + "b")
        #expect(!pattern.matches(try GroupName(String(repeating: "a", count: 99))))
    }
}
