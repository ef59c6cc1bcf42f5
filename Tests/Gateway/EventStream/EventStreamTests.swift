import Broker
import NIOCore
import NIOHTTP1
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

    private func wish(_ uri: String, _ headers: HTTPHeaders) throws -> ClientWish {
        let fields = headers.map { "\($0): \($1)\r\n" }.joined()
        return try ClientWish(try RequestHead(text: "GET \(uri) HTTP/1.1\r\n\(fields)\r\n"))
    }

    @Test func `A stream is wished for by Accept, with its cursor from the header before the address`() throws {
        let accept = ("accept", "text/event-stream")
        #expect(try wish("/a", [accept].headers) == .eventStream(cursor: nil, origin: nil))
        #expect(try wish("/a?since=x%3A1", [accept].headers) == .eventStream(cursor: "x:1", origin: nil))
        #expect(
            try wish("/a?since=x", [accept, ("last-event-id", "y"), ("origin", "http://o")].headers)
                == .eventStream(cursor: "y", origin: "http://o"))
        #expect(try wish("/a?since=", [accept].headers) == .eventStream(cursor: nil, origin: nil))
        #expect(throws: Refusal.self) { try wish("/a", [("accept", "text/html")].headers) }
    }

    @Test func `No Origin can write headers into the answer`() {
        let answer = String(buffer: SwitchingAnswer.eventStream(origin: "http://a\r\nX-Evil: 1"))
        #expect(!answer.contains("X-Evil"))
        #expect(
            String(buffer: SwitchingAnswer.eventStream(origin: "http://a")).contains(
                "Access-Control-Allow-Origin: http://a\r\n"))
    }
}

extension [(String, String)] {
    fileprivate var headers: HTTPHeaders { HTTPHeaders(self) }
}
