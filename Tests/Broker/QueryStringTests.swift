import Broker
import TestSupport
import Testing

struct QueryStringTests {
    private func written(_ target: String) -> [[String]] {
        QueryString(target: target).parameters.map { parameter in
            parameter.hasValue ? [String(parameter.name), String(parameter.value)] : [String(parameter.name)]
        }
    }

    @Test(
        arguments: [
            ("/", []), ("", []), ("/?", []), ("/?&&", []), ("/a?b", [["b"]]), ("/?b=", [["b", ""]]),
            ("/?=b", [["", "b"]]), ("/?=", [["", ""]]), ("/?a=1&b=2", [["a", "1"], ["b", "2"]]),
            ("/?a=1&a=2&&a", [["a", "1"], ["a", "2"], ["a"]]), ("/?a=b=c==", [["a", "b=c=="]]),
            ("/?a=?&b=/#c", [["a", "?"], ["b", "/#c"]]), ("/?a+b=c+d", [["a+b", "c+d"]]),
            ("/?%61=%62", [["%61", "%62"]]), ("/?a;b=1", [["a;b", "1"]]),
        ] as [(String, [[String]])])
    func `A query is its pairs, as they are written and in their order`(target: String, pairs: [[String]]) {
        #expect(written(target) == pairs)
    }

    @Test(
        arguments: [
            ("a=%41%5f", "a", "A_"), ("%61=%C3%A9", "a", "é"), ("a=+", "a", "+"), ("a=%2B%26%3d", "a", "+&="),
            ("a", "a", ""), ("a=%", "a", nil), ("a=%4", "a", nil), ("a=%4x", "a", nil), ("a=%ff", "a", nil),
            ("%=1", nil, "1"), ("%80=%80", nil, nil),
        ] as [(String, String?, String?)])
    func `Names and values are decoded one by one, and a broken escape is nobody else's`(
        query: String, name: String?, value: String?
    ) {
        let parameters = QueryString(target: "/?x=1&\(query)&y=2").parameters
        #expect(parameters.count == 3)
        #expect(parameters[1].decodedName == name)
        #expect(parameters[1].decodedValue == value)
        #expect(parameters[0].decodedValue == "1" && parameters[2].decodedValue == "2")
    }

    /// `&` and a combining mark are one character to Swift, and two to every client.
    @Test func `Pairs are divided by bytes`() {
        #expect(written("/?a=1&\u{301}b=\u{301}2") == [["a", "1"], ["\u{301}b", "\u{301}2"]])
        #expect(written("/?\u{301}a=1") == [["\u{301}a", "1"]])
    }

    @Test(arguments: 0..<20)
    func `Whatever is escaped comes back`(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let pairs = (0..<20).map { _ in
            (0..<2).map { _ in
                String(decoding: (0..<8).map { _ in UInt8.random(in: 0..<128, using: &generator) }, as: UTF8.self)
            }
        }
        let query = pairs.map { $0.map(escaped).joined(separator: "=") }.joined(separator: "&")
        let parameters = QueryString(target: "/path?\(query)").parameters
        #expect(parameters.map { [$0.decodedName ?? "?", $0.decodedValue ?? "?"] } == pairs)
    }

    private func escaped(_ text: String) -> String {
        text.utf8.map { "%" + ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}
