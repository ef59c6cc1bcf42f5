import NIOHTTP1
import Testing

@testable import Gateway

/// The transport a request asks for by its Accept and Upgrade headers, and its cursor.
struct RequestedTransportTests {
    private func wish(_ target: String = "/a", _ lines: String...) throws -> RequestedTransport {
        let head = try RequestHead(
            text: "GET \(target) HTTP/1.1\r\n" + lines.map { "\($0)\r\n" }.joined() + "\r\n")
        return try RequestedTransport(head)
    }

    private let events = "Accept: text/event-stream"

    @Test(arguments: [
        "text/event-stream", "text/html, TEXT/Event-Stream;q=0.9", "text/html,  text/event-stream",
        "text/html,\ttext/event-stream ;q=1",
    ])
    func `A stream is wished for by Accept`(accept: String) throws {
        #expect(try wish("/a", "Accept: \(accept)") == .eventStream(cursor: nil))
        #expect(try wish("/a", "Accept: text/html", "Accept: \(accept)") == .eventStream(cursor: nil))
    }

    @Test(arguments: ["text/html", "*/*", "text/event-streams", ""])
    func `Whoever does not name it is told that there is an Accept for streams`(accept: String) throws {
        let refusal = #expect(throws: Refusal.self) { try wish("/a", "Accept: \(accept)") }
        #expect(refusal?.status == .upgradeRequired && refusal?.message.contains("Accept") == true)
    }

    @Test(arguments: [
        ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA"],
        ["Upgrade: h2c"], ["Upgrade: TLS/1.0, HTTP/2.0"], ["Upgrade: websockets"], ["Upgrade:"],
    ])
    func `Another upgrade than websocket is not looked at`(lines: [String]) throws {
        let fields = ([events] + lines).map { "\($0)\r\n" }.joined()
        #expect(
            try RequestedTransport(RequestHead(text: "GET /a HTTP/1.1\r\n\(fields)\r\n")) == .eventStream(cursor: nil))
    }

    @Test func `An upgrade to websocket goes before Accept`() throws {
        let key = "dGhlIHNhbXBsZSBub25jZQ=="
        #expect(
            try wish(
                "/a", events, "Upgrade: h2c, WebSocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
                "Sec-WebSocket-Key: \(key)") == .webSocket(key: key))
    }

    @Test(arguments: [
        ("/a", nil), ("/a?since=x%3A1", "x:1"), ("/a?since=", nil), ("/a?b=1&since=x&c", "x"), ("/a?Since=x", nil),
        ("/a?lastEventId=x%3A1%2C-", "x:1,-"), ("/a?Last-Event-ID=x", "x"), ("/a?Last-Event-Id=x", "x"),
        ("/a?lastEventID=x", "x"), ("/a?lastEventId=old&lastEventId=new", "new"),
        ("/a?lastEventId=new&since=old", "new"), ("/a?since=old&lastEventId=new", "new"),
        ("/a?since=old&lastEventId=", "old"), ("/a?since=%zz", "%zz"), ("/a?lastEventId=%ff", "%ff"),
    ])
    func `The cursor in the address is what was appended, else the page's`(target: String, cursor: String?) throws {
        #expect(try wish(target, events) == .eventStream(cursor: cursor))
    }

    @Test func `A browser's own header is newer than any address`() throws {
        #expect(try wish("/a?since=x&lastEventId=y", events, "Last-Event-ID: z") == .eventStream(cursor: "z"))
        #expect(try wish("/a?since=x", events, "Last-Event-ID: y", "Last-Event-ID: z") == .eventStream(cursor: "z"))
        #expect(try wish("/a?since=x", events, "Last-Event-ID:") == .eventStream(cursor: "x"))
    }
}
