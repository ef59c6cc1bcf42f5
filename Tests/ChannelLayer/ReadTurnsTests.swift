import Broker
import Testing

@testable import ChannelLayer

struct ReadTurnsTests {
    private static func place(_ name: String) -> ReadPlace {
        // a1: the group a, from offset 1.
        let since = Position(epoch: "e", history: "a", offset: UInt64(name.dropFirst())!)
        return ReadPlace(group: try! GroupName(String(name.prefix(1))), since: since)
    }

    private func turns(_ names: String) -> ReadTurns<String> {
        var turns = ReadTurns<String>()
        for name in names.split(separator: " ") { turns.append(String(name), at: Self.place(String(name))) }
        return turns
    }

    private func take(_ turns: inout ReadTurns<String>, _ most: Int) -> String {
        turns.take(most).map(\.read).joined(separator: " ")
    }

    @Test func `Groups take turns, and a group's own reads keep their order`() {
        var turns = turns("a1 a2 a3 b1 c1 c2")
        #expect(take(&turns, 4) == "a1 b1 c1 a2")
        turns.append("b2", at: Self.place("b2"))
        #expect(take(&turns, 9) == "c2 a3 b2")
        #expect(turns.isEmpty && take(&turns, 9) == "")
    }

    @Test func `What is put back is its group's first, and another group's turn comes before it all the same`() {
        var turns = turns("a1 a2 b1")
        let taken = turns.take(1)
        turns.append("a3", at: Self.place("a3"))
        for (place, read) in taken { turns.putBack(read, at: place) }
        #expect(take(&turns, 9) == "b1 a1 a2 a3")
    }

    @Test func `A group that is let go first has one turn more, once`() {
        var turns = turns("a1 b1 b2 b3")
        turns.letGoFirst(Self.place("b1").group)
        #expect(take(&turns, 2) == "b1 a1")
        #expect(take(&turns, 9) == "b2 b3")
        turns.letGoFirst(Self.place("b1").group)
        #expect(take(&turns, 9) == "")
    }

    @Test func `What is taken out has no turn, and its group keeps the others`() {
        var turns = turns("a1 a2 b1")
        turns[Self.place("a1")] = nil
        turns[Self.place("b1")] = nil
        turns[Self.place("b1")] = "not there"
        #expect(turns.count == 1 && take(&turns, 9) == "a2")
        turns.append("b2", at: Self.place("b2"))
        #expect(take(&turns, 9) == "b2")
    }
}
