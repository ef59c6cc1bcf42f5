import Broker
import NIOCore

/// Encodes `text/event-stream` events (WHATWG HTML, "Server-sent events").
enum EventWriter {
    /// A message: its JSON is one line, so it is one `data:` field. On the path of each message: literal bytes.
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

    /// Sets the client's cursor without an event: a block without data is not dispatched, but its id is stored.
    static func cursor(_ id: String) -> ByteBuffer { ByteBuffer(string: "id: \(id)\n\n") }

    /// Continuity was lost: `event: gap`, with the group and the reason. The id moves past the gap, so it is reported once.
    static func gap(group: String, reason: String, id: String) -> ByteBuffer {
        event("gap", id: id) { json in
            json.string("group", group)
            json.string("reason", reason)
        }
    }

    /// A user's read state in a group, and what was marked where the change was about a single message. Without an id: the cursor
    /// stays where it is.
    static func state(_ state: InboxState, _ mark: ReadMark?, of group: GroupName) -> ByteBuffer {
        var text = ByteBuffer(string: "event: state\ndata: ")
        text.writeImmutableBuffer(InboxFrame.state(state, mark, of: group))
        text.writeStaticString("\n\n")
        return text
    }

    /// Messages of a group without history were dropped because this client was too slow.
    static func dropped(group: String, count: Int) -> ByteBuffer {
        event("dropped", id: nil) { json in
            json.string("group", group)
            json.number("count", count)
        }
    }

    /// The stream was ended by the operator. The id makes the browser's next request one that is answered with 204, after
    /// which it does not reconnect.
    static func end(reason: String) -> ByteBuffer {
        event("end", id: EventCursor.end) { $0.string("reason", reason) }
    }

    private static func event(_ name: String, id: String?, _ data: (inout JSONWriter) -> Void) -> ByteBuffer {
        var text = ByteBuffer()
        if let id { text.writeString("id: \(id)\n") }
        text.writeString("event: \(name)\ndata: ")
        text.writeJSONObject(data)
        text.writeStaticString("\n\n")
        return text
    }

    /// How long the client should wait before it reconnects.
    static func retry(milliseconds: Int) -> ByteBuffer { ByteBuffer(string: "retry: \(milliseconds)\n\n") }

    /// Keeps proxies from closing an idle stream.
    static let comment = ByteBuffer(string: ":\n\n")
}
