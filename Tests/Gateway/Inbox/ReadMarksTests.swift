import Broker
import TestSupport
import Testing

@testable import Gateway

struct ReadMarksTests {
    private typealias House = SessionHouse

    private func change(_ read: UInt64, _ mark: ReadMark? = nil) -> ReadStateChange {
        ReadStateChange(user: "u", state: InboxState(unread: 0, read: House.at(read)), mark: mark)
    }

    @Test func `What was read singly counts, and so does everything up to the mark`() {
        let marks = ReadMarks(InboxState(unread: 2, read: House.at(3), readSingly: [5, 7]))
        #expect((1...8).filter { marks.isRead(House.at($0)) } == [1, 2, 3, 5, 7])
        #expect(marks.isRead(House.at(3, history: "b")), "a restart of Redis changes nothing")
        #expect(!marks.isRead(Position(epoch: "f", history: "a", offset: 1)), "a new key is a new group")
    }

    @Test func `Changes on other devices are followed`() {
        var marks = ReadMarks(InboxState(unread: 2, read: House.at(3), readSingly: [5]))
        marks.apply(change(3, .one(House.at(7))))
        #expect(marks.isRead(House.at(7)) && !marks.isRead(House.at(6)))
        marks.apply(change(3, .unreadOne(House.at(5))))
        #expect(!marks.isRead(House.at(5)))
        marks.apply(change(6, .upTo(House.at(6))))
        #expect((1...8).filter { marks.isRead(House.at($0)) } == [1, 2, 3, 4, 5, 6, 7])
        marks.apply(change(2, .unreadOne(House.at(3))))
        #expect(!marks.isRead(House.at(3)) && marks.isRead(House.at(7)))
        marks.apply(
            ReadStateChange(
                user: "u", state: InboxState(unread: 0, read: Position(epoch: "f", history: "a", offset: 1))))
        #expect(!marks.isRead(House.at(7)) && !marks.isRead(House.at(1)))
    }

    /// Against the set of everything that is read.
    @Test(arguments: 0..<30 as Range<UInt64>)
    func `Random marks agree with a plain set`(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var marks = ReadMarks(InboxState(unread: 20, read: House.at(0))), read = 0 as UInt64, singly: Set<UInt64> = []
        for _ in 0..<200 {
            let offset = UInt64.random(in: 1...20, using: &generator)
            switch Int.random(in: 0..<4, using: &generator) {
            case 0:
                read = max(read, offset)
                marks.apply(change(read, .upTo(House.at(offset))))
            case 1 where offset > read:
                singly.remove(offset)
                marks.apply(change(read, .unreadOne(House.at(offset))))
            default:
                singly.insert(offset)
                marks.apply(change(read, .one(House.at(offset))))
            }
            singly = singly.filter { $0 > read }
            for one in 1...20 as ClosedRange<UInt64> {
                #expect(marks.isRead(House.at(one)) == (one <= read || singly.contains(one)), "seed \(seed)")
            }
        }
    }

    @Test func `Where a connection goes on is read from its URL, group by group`() throws {
        let groups = try ["a", "b"].map { try GroupName($0) }
        let entries = [GroupEntry(position: House.at(8)), GroupEntry(position: House.at(9))]
        func offsets(_ text: String?, _ count: Int = 2) -> [String] {
            let (starts, unreadable) = SinceCursor.starts(
                text, Array(groups.prefix(count)), Array(entries.prefix(count)))
            return starts.map { "\($0.isResumption ? "since " : "")\($0.position.offset)" }
                + unreadable.map { "? \($0)" }
        }
        #expect(offsets(nil) == ["8", "9"])
        #expect(offsets("e.a:3", 1) == ["since 3"] && offsets("a@e.a:3", 1) == ["since 3"])
        #expect(offsets("b@e.a:4") == ["8", "since 4"] && offsets("b@e.a:4,a@e.a:1") == ["since 1", "since 4"])
        #expect(offsets("b@x,a@e.a:1") == ["since 1", "9", "? b"])
        for text in ["e.a:3", "c@e.a:3", "", ","] { #expect(offsets(text) == ["8", "9", "? a", "? b"]) }
    }
}
