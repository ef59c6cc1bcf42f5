import NIOCore
import Testing

@testable import Broker

/// A cursor with unreadable messages: only the log decides what is reported.
struct UnreadableMessageTests {
    private static let group = try! GroupName("g")

    private func position(_ offset: UInt64) -> Position { Position(epoch: "e1", history: "aa", offset: offset) }

    private func publication(_ offset: UInt64) -> Publication {
        Publication(group: Self.group, position: position(offset), json: ByteBuffer(string: "{}"))
    }

    /// A page up to `now` with these offsets; negative: an unreadable entry.
    private func page(_ offsets: [Int], now: UInt64, proven: UInt64) -> HistoryPage {
        let entries = offsets.map { offset in
            let at = UInt64(offset.magnitude)
            return HistoryEntry(
                offset: at, publication: offset < 0 ? nil : publication(at), isUnreadable: offset < 0)
        }
        return HistoryPage(continuity: .resumed, position: position(now), proven: proven, entries: entries)
    }

    private func words(_ filled: GroupCursor.Filled) -> [String] {
        filled.steps.map { step in
            switch step {
            case .deliver(let publication): "\(publication.position!.offset)"
            case .lost(let continuity, let position): "\(continuity) \(position.offset)"
            }
        }
    }

    @Test func `The log is read where one came, and the gap is told in its place`() {
        var cursor = GroupCursor()
        cursor.joined(at: position(3))
        #expect(cursor.unreadable(at: position(4)) == position(3))
        #expect(cursor.isFilling)
        #expect(words(cursor.filled(with: page([-4, 5], now: 5, proven: 3))) == ["gap 4", "5"])
        #expect(cursor.position == position(5))
    }

    @Test func `One that was passed already, or came before anybody had joined, is nothing`() {
        var cursor = GroupCursor()
        #expect(cursor.unreadable(at: position(4)) == nil)
        cursor.joined(at: position(5))
        #expect(cursor.unreadable(at: position(5)) == nil)
        #expect(cursor.position == position(5) && !cursor.isFilling)
    }

    @Test func `One under a position that the log does not have is a stranger's, and nobody is told`() {
        var cursor = GroupCursor()
        cursor.joined(at: position(3))
        #expect(cursor.unreadable(at: position(4)) == position(3))
        let filled = cursor.filled(with: page([], now: 3, proven: 3))
        #expect(filled.steps.isEmpty && filled.strangers == 1 && filled.readOn == nil)
        #expect(cursor.received(publication(4), at: position(4)).isDelivery)
    }

    @Test func `One that came while the log was read has it read again`() {
        var cursor = GroupCursor()
        cursor.joined(at: position(3))
        #expect(cursor.doubt() == position(3))
        #expect(cursor.unreadable(at: position(5)) == nil)
        let first = cursor.filled(with: page([4], now: 4, proven: 3))
        #expect(words(first) == ["4"])
        #expect(first.readOn == position(4))
        #expect(words(cursor.filled(with: page([-5], now: 5, proven: 4))) == ["gap 5"])
        #expect(cursor.position == position(5))
    }

    @Test func `Holes and messages of a page keep their order`() {
        var cursor = GroupCursor()
        cursor.joined(at: position(0))
        #expect(cursor.doubt() == position(0))
        let filled = cursor.filled(with: page([1, -2, 3, 4, -5, -6, -7], now: 7, proven: 0))
        #expect(words(filled) == ["1", "gap 2", "3", "4", "gap 7"], "a hole of several messages is one")
    }

    @Test func `In a group without a log it was missed, and what follows is delivered`() {
        var cursor = GroupCursor()
        cursor.joined(at: position(3))
        #expect(cursor.unreadable(at: position(4)) == position(3))
        _ = cursor.received(publication(5), at: position(5))
        let page = HistoryPage(continuity: .liveOnly, position: position(5), proven: 3, entries: [])
        let filled = cursor.filled(with: page)
        #expect(filled.missed == 1)
        #expect(words(filled) == ["5"])
        #expect(cursor.position == position(5))
    }

    @Test func `A forged one far ahead does not move a group without a log`() {
        var cursor = GroupCursor()
        cursor.joined(at: position(3))
        #expect(cursor.unreadable(at: position(900)) == position(3))
        let filled = cursor.filled(
            with: HistoryPage(continuity: .liveOnly, position: position(3), proven: 3, entries: []))
        #expect(filled.steps.isEmpty && filled.strangers == 1)
        #expect(cursor.position == position(3))
    }
}

extension GroupCursor.Action {
    fileprivate var isDelivery: Bool { if case .deliver = self { true } else { false } }
}
