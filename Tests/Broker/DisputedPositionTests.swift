import NIOCore
import Testing

@testable import Broker

private let group = try! GroupName("g")

private func place(_ offset: UInt64) -> Position { Position(epoch: "e1", history: "aa", offset: offset) }

private func message(_ offset: UInt64, _ text: String) -> Publication {
    Publication(group: group, position: place(offset), json: ByteBuffer(string: text))
}

extension GroupCursor {
    fileprivate mutating func take(_ offset: UInt64, _ text: String) -> Action {
        received(message(offset, text), at: place(offset))
    }
}

/// Two messages under one position: anybody who may publish can write any position into a message.
@Suite struct DisputedPositionTests {
    private func isDispute(_ action: GroupCursor.Action) -> Bool { if case .dispute = action { true } else { false } }
    private func isDrop(_ action: GroupCursor.Action) -> Bool { if case .drop = action { true } else { false } }

    private func cursor() -> GroupCursor {
        var cursor = GroupCursor()
        cursor.joined(at: place(0))
        return cursor
    }

    @Test func `Another message under the position of one that was delivered is disputed`() {
        var cursor = cursor()
        _ = cursor.take(1, #"{"forged":1}"#)
        #expect(isDispute(cursor.take(1, #"{"real":1}"#)))
        #expect(cursor.position == place(1))
    }

    @Test func `The same message again is dropped`() {
        var cursor = cursor()
        _ = cursor.take(1, #"{"n":1}"#)
        #expect(isDrop(cursor.take(1, #"{"n":1}"#)))
    }

    @Test func `Each of several forged ones is disputed by its real one`() {
        var cursor = cursor()
        for offset in 1...5 as ClosedRange<UInt64> { _ = cursor.take(offset, #"{"forged":1}"#) }
        for offset in 1...5 as ClosedRange<UInt64> { #expect(isDispute(cursor.take(offset, #"{"real":1}"#))) }
    }

    @Test func `Only the newest are told apart, so memory has a bound`() {
        var cursor = cursor()
        let last = UInt64(LiveTrace.capacity + 1)
        for offset in 1...last { _ = cursor.take(offset, #"{"forged":1}"#) }
        #expect(isDrop(cursor.take(1, #"{"real":1}"#)))
        #expect(isDispute(cursor.take(2, #"{"real":1}"#)))
    }

    @Test func `What the log gave is no dispute when it comes by pub/sub as well`() {
        var cursor = cursor()
        _ = cursor.doubt()
        let entry = HistoryEntry(offset: 1, publication: message(1, #"{"n":1}"#))
        _ = cursor.filled(
            with: HistoryPage(continuity: .resumed, position: place(1), proven: 0, entries: [entry]))
        #expect(isDrop(cursor.take(1, #"{ "n":1}"#)))
    }

    @Test func `A real one that comes while the log is read is disputed when the log has been read`() {
        var cursor = cursor()
        _ = cursor.take(1, #"{"forged":1}"#)
        _ = cursor.doubt()
        _ = cursor.take(1, #"{"real":1}"#)
        let filled = cursor.filled(
            with: HistoryPage(continuity: .resumed, position: place(1), proven: 1, entries: []))
        #expect(filled.disputed.map { String(buffer: $0.json) } == [#"{"real":1}"#])
        #expect(filled.steps.isEmpty)
    }

    @Test func `White space makes no other message`() {
        #expect(message(1, #"{"a":1}"#).says(theSameAs: message(1, "{ \"a\" :\n1 }")))
        #expect(!message(1, #"{"a":1}"#).says(theSameAs: message(1, #"{"a":2}"#)))
        #expect(message(1, "{}").unpositioned.position == nil)
    }
}
