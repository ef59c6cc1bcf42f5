import Broker
import Testing

struct PositionTests {
    private static let good: [(String, epoch: String, history: String, offset: UInt64)] = [
        ("00000000.0012:3", "00000000", "0012", 3),
        ("5f3a.9c01ab23de:17", "5f3a", "9c01ab23de", 17), ("0.0:0", "0", "0", 0),
        ("5f3a.9c01ab23de:18446744073709551615", "5f3a", "9c01ab23de", UInt64.max),
        (
            "\(String(repeating: "a", count: 16)).\(String(repeating: "f", count: 16)):1",
            String(repeating: "a", count: 16),
            String(repeating: "f", count: 16), 1
        ),
    ]

    @Test(arguments: good)
    func `A position is read and written the same`(text: String, epoch: String, history: String, offset: UInt64) throws
    {
        let position = try #require(Position(text))
        #expect(position.epoch.description == epoch && position.history.description == history)
        #expect(position.offset == offset)
        #expect(position.description == text)
    }

    @Test(arguments: [
        "", ".", ":", ".:", "x", "1:2", "5f3a:17", "5f3a.9c01", "5f3a.9c01:", ".9c01:1", "5f3a.:1", "5f3a.9c01:-1",
        "5f3a.9c01:+1",
        "5f3a.9c01: 1", "5f3a.9c01:1 ", "5f3a.9c01:1.0", "5f3a.9c01:0x10", "5f3a.9c01:1e3",
        "5f3a.9c01:18446744073709551616",
        "5F3A.9c01:1", "5f3a.9C01:1", "5g3a.9c01:1", "5f3a.9c01.2:1", "5f3a..9c01:1", "5f3a.9c01::1", "5f3a.9c01:1:2",
        "\u{0661}.1:1", "1.1:\u{0661}", "1.1\u{301}:1", "5f3a.9c01:\0", "%s.%n:1",
        "\(String(repeating: "a", count: 17)).1:1", "1.\(String(repeating: "a", count: 17)):1",
        "\(String(repeating: "a", count: 1 << 20)).1:1", "1.1:\(String(repeating: "0", count: 1 << 20))1",
    ])
    func `What is no position is none`(text: String) {
        #expect(Position(text) == nil)
    }

    @Test func `Positions that differ in any part are different`() {
        let all = [Position("1.1:1"), Position("2.1:1"), Position("01.1:1"), Position("1.2:1"), Position("1.1:2")]
            .compactMap { $0 }
        #expect(Set(all).count == 5)
    }
}
