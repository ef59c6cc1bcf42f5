import NIOCore

/// Events as `text/event-stream` has them (WHATWG HTML, "Server-sent events").
enum EventWriter {
    /// A message: its JSON is one line, so it is one `data:` field.
    static func message(_ json: ByteBuffer, id: String?) -> ByteBuffer {
        var text = ByteBufferAllocator().buffer(capacity: json.readableBytes + (id?.utf8.count ?? 0) + 16)
        if let id {
            text.writeStaticString("id: ")
            text.writeString(id)
            text.writeStaticString("\n")
        }
        text.writeStaticString("data: ")
        text.writeImmutableBuffer(json)
        text.writeStaticString("\n\n")
        return text
    }

    /// Sets the client's cursor without an event: a block without data is not dispatched, but its id counts.
    static func cursor(_ id: String) -> ByteBuffer { ByteBuffer(string: "id: \(id)\n\n") }

    /// Continuity was lost: `event: gap`, with the group and the reason. Who has been told is not told again: the id says so.
    static func gap(group: String, reason: String, id: String) -> ByteBuffer {
        ByteBuffer(
            string: "id: \(id)\nevent: gap\ndata: {\"group\":\"\(group)\",\"reason\":\"\(reason)\"}\n\n")
    }

    /// Messages of a group without history that this client was too slow for.
    static func dropped(group: String, count: Int) -> ByteBuffer {
        ByteBuffer(string: "event: dropped\ndata: {\"group\":\"\(group)\",\"count\":\(count)}\n\n")
    }

    /// The operator has ended the stream: the id makes the browser's next request one that is answered 204, after which it
    /// stays away.
    static func end(reason: String) -> ByteBuffer {
        ByteBuffer(string: "id: \(EventCursor.end)\nevent: end\ndata: {\"reason\":\"\(reason)\"}\n\n")
    }

    /// How long the client waits before it connects again.
    static func retry(milliseconds: Int) -> ByteBuffer { ByteBuffer(string: "retry: \(milliseconds)\n\n") }

    /// Keeps proxies from believing that nobody is there.
    static let comment = ByteBuffer(string: ":\n\n")
}
