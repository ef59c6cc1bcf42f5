import Broker
import NIOCore
import Testing

@testable import Gateway

struct MailboxTests {
    private static func publication(_ group: String, _ offset: UInt64?, bytes: Int = 10) -> Delivery {
        .publication(
            Publication(
                group: try! GroupName(group), position: offset.map { Position(epoch: "e", history: "a", offset: $0) },
                json: ByteBuffer(repeating: UInt8(ascii: "x"), count: bytes)))
    }

    /// `a1 a2 lost:a3`; `a-` has no position.
    private static func text(_ deliveries: [Delivery]) -> String {
        deliveries.map { delivery in
            switch delivery {
            case .publication(let one): "\(one.group)\(one.position.map { String($0.offset) } ?? "-")"
            case .presence(let group, _, _): "presence:\(group)"
            case .lost(let group, let continuity, let position): "lost:\(group)\(position.offset):\(continuity)"
            case .mayHaveMissed(let group): "missed:\(group)"
            case .direct(let connection, _): "direct:\(connection)"
            case .end: "end"
            case .inbox(let group, let change): "inbox:\(group):\(change.user)"
            }
        }.joined(separator: " ")
    }

    private func expect(_ mailbox: inout Mailbox, _ text: String, _ place: SourceLocation = #_sourceLocation) {
        let deliveries = mailbox.empty()
        #expect(Self.text(deliveries) == text, sourceLocation: place)
    }

    @Test func `The loop is told once, and gets all in order`() {
        var mailbox = Mailbox()
        let first = mailbox.put([Self.publication("a", 1)])
        let second = mailbox.put([Self.publication("b", 1), Self.publication("a", 2)])
        #expect(first && !second)
        expect(&mailbox, "a1 b1 a2")
        let third = mailbox.put([Self.publication("a", 3)])
        #expect(third)
        expect(&mailbox, "a3")
    }

    @Test func `Above the bound publications are dropped, and their groups are told once`() {
        var mailbox = Mailbox(maximumBytes: 35)
        _ = mailbox.put((1...3).map { Self.publication("a", $0) })
        _ = mailbox.put([Self.publication("a", 4), .end(.user("42")), Self.publication("a", 5)])
        expect(&mailbox, "a1 a2 a3 end lost:a5:\(Continuity.gap)")
    }

    @Test func `Nothing follows a hole, however small it is; other groups go on`() {
        var mailbox = Mailbox(maximumBytes: 35)
        _ = mailbox.put([Self.publication("a", 1), Self.publication("a", 2, bytes: 100), Self.publication("a", 3)])
        _ = mailbox.put([Self.publication("b", 7)])
        expect(&mailbox, "a1 b7 lost:a3:\(Continuity.gap)")
    }

    @Test func `What was dropped without a position is told, too`() {
        var mailbox = Mailbox(maximumBytes: 5)
        _ = mailbox.put([Self.publication("a", nil)])
        expect(&mailbox, "lost:a0:\(Continuity.gap)")
    }

    @Test func `Emptied, it takes as much again`() {
        var mailbox = Mailbox(maximumBytes: 10)
        for offset in 1...3 as ClosedRange<UInt64> {
            let isFirst = mailbox.put([Self.publication("a", offset)])
            #expect(isFirst)
            expect(&mailbox, "a\(offset)")
        }
    }
}
