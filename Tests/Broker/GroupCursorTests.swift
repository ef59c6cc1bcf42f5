import NIOCore
import Testing

@testable import Broker

private let group = try! GroupName("g")

private func position(_ offset: UInt64, epoch: HexDigits = "e1", history: HexDigits = "aa") -> Position {
    Position(epoch: epoch, history: history, offset: offset)
}

private func publication(_ offset: UInt64, epoch: HexDigits = "e1", history: HexDigits = "aa") -> Publication {
    Publication(
        group: group, position: position(offset, epoch: epoch, history: history),
        json: ByteBuffer(string: "{\"n\":\(offset)}"))
}

private func page(
    _ continuity: Continuity, now: Position?, proven: UInt64, _ offsets: ClosedRange<UInt64>? = nil
) -> HistoryPage {
    let entries = offsets.map { range in
        range.map { offset in
            HistoryEntry(offset: offset, publication: publication(offset, epoch: now!.epoch, history: now!.history))
        }
    }
    return HistoryPage(continuity: continuity, position: now, proven: proven, entries: entries ?? [])
}

extension GroupCursor.Filled {
    fileprivate var deliveries: [Publication] {
        steps.compactMap { if case .deliver(let publication) = $0 { publication } else { nil } }
    }

    fileprivate var lost: (continuity: Continuity, position: Position)? {
        for case .lost(let continuity, let position) in steps { return (continuity, position) }
        return nil
    }
}

extension GroupCursor {
    fileprivate mutating func take(_ publication: Publication) -> Action {
        received(publication, at: publication.position!)
    }
}

extension GroupCursor.Action {
    fileprivate var word: String {
        switch self {
        case .deliver: "deliver"
        case .drop: "drop"
        case .fill(let since): "fill \(since.offset)"
        case .hold: "hold"
        case .dispute: "dispute"
        }
    }
}

@Suite struct GroupCursorTests {
    @Test func `The first message with a position begins the sequence`() {
        var cursor = GroupCursor()
        #expect(cursor.take(publication(7)).word == "deliver")
        #expect(cursor.position == position(7))
    }

    @Test func `What follows is delivered, what was delivered is dropped`() {
        var cursor = GroupCursor()
        cursor.joined(at: position(3))
        #expect(cursor.take(publication(3)).word == "drop")
        #expect(cursor.take(publication(4)).word == "deliver")
        #expect(cursor.take(publication(4)).word == "drop")
        #expect(cursor.take(publication(2)).word == "drop")
        #expect(cursor.take(publication(5)).word == "deliver")
    }

    @Test func `A later join does not move a sequence that has begun`() {
        var cursor = GroupCursor()
        cursor.joined(at: position(3))
        cursor.joined(at: position(9))
        #expect(cursor.position == position(3))
    }

    @Test func `A jump reads the log from the cursor and holds what comes meanwhile`() {
        var cursor = GroupCursor()
        cursor.joined(at: position(1))
        #expect(cursor.take(publication(4)).word == "fill 1")
        #expect(cursor.take(publication(5)).word == "hold")
        let filled = cursor.filled(with: page(.resumed, now: position(4), proven: 1, 2...4))
        #expect(filled.lost == nil)
        #expect(filled.deliveries.map(\.position?.offset) == [2, 3, 4, 5])
        #expect(filled.readOn == nil)
        #expect(cursor.position == position(5))
    }

    @Test func `Pages are read until the log's end`() {
        var cursor = GroupCursor()
        cursor.joined(at: position(0))
        _ = cursor.take(publication(4))
        let first = cursor.filled(with: page(.resumed, now: position(4), proven: 0, 1...2))
        #expect(first.deliveries.count == 2)
        #expect(first.readOn == position(2))
        #expect(cursor.isFilling)
        let second = cursor.filled(with: page(.resumed, now: position(4), proven: 2, 3...4))
        #expect(second.deliveries.map(\.position?.offset) == [3, 4])
        #expect(cursor.position == position(4))
    }

    @Test func `A held message that does not follow the log's end is read for again`() {
        var cursor = GroupCursor()
        cursor.joined(at: position(1))
        _ = cursor.take(publication(3))
        _ = cursor.take(publication(6))
        let filled = cursor.filled(with: page(.resumed, now: position(4), proven: 1, 2...4))
        #expect(filled.deliveries.map(\.position?.offset) == [2, 3, 4])
        #expect(filled.readOn == position(4))
        #expect(cursor.isFilling)
    }

    @Test func `A gap is told before what is left of the log`() {
        var cursor = GroupCursor()
        cursor.joined(at: position(1))
        _ = cursor.take(publication(9))
        let filled = cursor.filled(with: page(.gap, now: position(9), proven: 5, 6...9))
        #expect(filled.lost?.continuity == .gap)
        #expect(filled.deliveries.map(\.position?.offset) == [6, 7, 8, 9])
        #expect(cursor.position == position(9))
    }

    @Test func `Another history is asked about, and goes on without a word when nothing was lost`() {
        var cursor = GroupCursor()
        cursor.joined(at: position(5))
        #expect(cursor.take(publication(6, history: "bb")).word == "fill 5")
        let filled = cursor.filled(
            with: page(.historyChanged, now: position(6, history: "bb"), proven: 5, 6...6))
        #expect(filled.lost == nil)
        #expect(filled.deliveries.map(\.position) == [position(6, history: "bb")])
    }

    @Test func `After a rollback the messages of the new history are delivered from where it began`() {
        var cursor = GroupCursor()
        cursor.joined(at: position(9))
        #expect(cursor.doubt() == position(9))
        let told = cursor.filled(with: page(.rolledBack, now: position(8, history: "bb"), proven: 6))
        #expect(told.lost?.continuity == .rolledBack)
        #expect(told.readOn == position(6, history: "bb"))
        let filled = cursor.filled(with: page(.resumed, now: position(8, history: "bb"), proven: 6, 7...8))
        #expect(filled.deliveries.count == 2)
        #expect(cursor.position == position(8, history: "bb"))
    }

    @Test func `A new epoch is told and delivered from its first message`() {
        var cursor = GroupCursor()
        cursor.joined(at: position(9))
        #expect(cursor.take(publication(1, epoch: "e2")).word == "fill 9")
        let told = cursor.filled(with: page(.reset, now: position(1, epoch: "e2"), proven: 0))
        #expect(told.lost?.continuity == .reset)
        #expect(told.readOn == position(0, epoch: "e2"))
        let filled = cursor.filled(with: page(.resumed, now: position(1, epoch: "e2"), proven: 0, 1...1))
        #expect(filled.lost == nil)
        #expect(filled.deliveries.map(\.position) == [position(1, epoch: "e2")])
    }

    @Test func `A group whose key is gone begins anew with the next message`() {
        var cursor = GroupCursor()
        cursor.joined(at: position(9))
        _ = cursor.doubt()
        let told = cursor.filled(with: page(.reset, now: nil, proven: 0))
        #expect(told.lost?.continuity == .reset)
        #expect(told.lost?.position == .beginning)
        #expect(cursor.position == .beginning)
        #expect(cursor.take(publication(1, epoch: "e2")).word == "deliver")
    }

    @Test func `Of a group whose key was gone, what came before anybody listened is read from its beginning`() {
        var cursor = GroupCursor()
        cursor.joined(at: position(9))
        _ = cursor.doubt()
        _ = cursor.filled(with: page(.reset, now: nil, proven: 0))
        #expect(cursor.doubt() == .beginning)
        #expect(cursor.filled(with: page(.resumed, now: nil, proven: 0)).lost == nil)
        #expect(cursor.take(publication(3, epoch: "e2")).word == "fill 0")
        let filled = cursor.filled(with: page(.resumed, now: position(3, epoch: "e2"), proven: 0, 1...3))
        #expect(filled.lost == nil)
        #expect(filled.deliveries.map(\.position?.offset) == [1, 2, 3])
        #expect(cursor.take(publication(4, epoch: "e2")).word == "deliver")
    }

    @Test func `A message that the log does not have although it was asked later is a stranger's`() {
        var cursor = GroupCursor()
        cursor.joined(at: position(3))
        #expect(cursor.take(publication(1_000_000)).word == "fill 3")
        _ = cursor.take(publication(4, epoch: "0e"))
        _ = cursor.take(publication(4))
        let first = cursor.filled(with: page(.resumed, now: position(3), proven: 3))
        #expect(first.strangers == 1)
        #expect(first.deliveries.isEmpty)
        #expect(first.readOn == position(3))
        let second = cursor.filled(with: page(.resumed, now: position(4), proven: 3, 4...4))
        #expect(second.strangers == 1)
        #expect(second.deliveries.map(\.position?.offset) == [4])
        #expect(second.readOn == nil)
        #expect(cursor.position == position(4))
    }

    @Test func `A group without a log goes on with what was held and counts what is missing`() {
        var cursor = GroupCursor()
        cursor.joined(at: position(2))
        _ = cursor.take(publication(5))
        _ = cursor.take(publication(6))
        let filled = cursor.filled(with: page(.liveOnly, now: position(6), proven: 2))
        #expect(filled.deliveries.map(\.position?.offset) == [5, 6])
        #expect(filled.missed == 2)
        #expect(filled.lost == nil)
        #expect(cursor.position == position(6))
    }

    @Test func `A doubt that finds nothing new changes nothing`() {
        var cursor = GroupCursor()
        #expect(cursor.doubt() == nil)
        cursor.joined(at: position(2))
        #expect(cursor.doubt() == position(2))
        #expect(cursor.doubt() == nil)
        let filled = cursor.filled(with: page(.resumed, now: position(2), proven: 2))
        #expect(filled.deliveries.isEmpty && filled.readOn == nil && filled.lost == nil)
        #expect(cursor.take(publication(3)).word == "deliver")
    }

    /// A log that keeps everything, and a pub/sub that loses, repeats and reorders: each message must be delivered exactly once
    /// and in order.
    @Test(arguments: 1...200 as ClosedRange<UInt64>)
    func `Random losses and repetitions never lose, repeat or reorder a message`(seed: UInt64) {
        var generator = SeededSequence(state: seed)
        var cursor = GroupCursor()
        cursor.joined(at: position(0))
        var sent: UInt64 = 0
        var delivered: [UInt64] = []
        var reading: Position?

        func read() {
            while let since = reading {
                let end = min(since.offset + UInt64.random(in: 1...3, using: &generator), sent)
                let entries = since.offset < end ? (since.offset + 1)...end : nil
                let filled = cursor.filled(with: page(.resumed, now: position(sent), proven: since.offset, entries))
                #expect(filled.lost == nil)
                delivered += filled.deliveries.compactMap(\.position?.offset)
                reading = filled.readOn
            }
        }

        for _ in 0..<60 {
            switch Int.random(in: 0..<10, using: &generator) {
            case 0: sent += 1  // pub/sub loses it
            case 1: read()
            case 2: if reading == nil, let since = cursor.doubt() { reading = since }
            default:
                let offset: UInt64
                if Bool.random(using: &generator) || sent == 0 {
                    sent += 1
                    offset = sent
                } else {
                    offset = UInt64.random(in: 1...sent, using: &generator)
                }
                switch cursor.take(publication(offset)) {
                case .deliver: delivered.append(offset)
                case .fill(let since): reading = since
                case .drop, .hold, .dispute: break
                }
            }
        }
        read()
        if let since = cursor.doubt() { reading = since }
        read()
        #expect(delivered == Array(1...max(sent, 1)).filter { $0 <= sent })
    }
}

private struct SeededSequence: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
