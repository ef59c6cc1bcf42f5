import Broker
import NIOCore
import Testing

@testable import Gateway

@Suite struct EventStreamTests {
    private let one = Position(epoch: "5f3a", history: "9c01ab23de", offset: 17)
    private let other = Position(epoch: "ab", history: "cd", offset: 0)

    @Test func `A cursor over several groups reads back as it was written`() {
        let text = EventCursor.text([one, nil, other])
        #expect(text == "5f3a.9c01ab23de:17,-,ab.cd:0")
        #expect(EventCursor.parse(text, groups: 3) == [one, nil, other])
    }

    @Test(arguments: ["", "x", "5f3a.9c01ab23de:17,", "5f3a.9c01ab23de:17,ab.cd:0,ab.cd:0", "%s%n,-", "5f3a:1,-"])
    func `A cursor of another shape is none`(text: String) {
        #expect(EventCursor.parse(text, groups: 2) == nil)
    }

    @Test func `A cursor of a megabyte is not looked at`() {
        #expect(EventCursor.parse(String(repeating: "-,", count: 1 << 19), groups: 2) == nil)
    }

    @Test func `Events are blocks that end with an empty line`() {
        #expect(
            String(buffer: EventWriter.message(ByteBuffer(string: #"{"a":1}"#), id: "x:1"))
                == "id: x:1\ndata: {\"a\":1}\n\n")
        #expect(String(buffer: EventWriter.message(ByteBuffer(string: "{}"), id: nil)) == "data: {}\n\n")
        #expect(String(buffer: EventWriter.cursor("x:1")) == "id: x:1\n\n")
        #expect(
            String(buffer: EventWriter.gap(group: "g", reason: "reset", id: "x:1"))
                == "id: x:1\nevent: gap\ndata: {\"group\":\"g\",\"reason\":\"reset\"}\n\n")
    }

    @Test func `No Origin can write headers into the answer`() {
        let answer = String(buffer: SwitchingAnswer.eventStream(page: "http://a\r\nX-Evil: 1"))
        #expect(!answer.contains("X-Evil"))
        #expect(
            String(buffer: SwitchingAnswer.eventStream(page: "http://a")).contains(
                "Access-Control-Allow-Origin: http://a\r\n"))
    }
}
