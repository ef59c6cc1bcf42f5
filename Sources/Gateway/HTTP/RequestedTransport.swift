/// The kind of connection that a checked request asks for.
enum RequestedTransport: Equatable {
    /// The value to hash into Sec-WebSocket-Accept.
    case webSocket(key: String)
    /// Server-sent events, with the cursor from the request, if any.
    case eventStream(cursor: String?)

    /// - Throws: `Refusal` when the request asks for neither.
    init(_ head: RequestHead) throws(Refusal) {
        // Other upgrades (some clients offer h2c with every request) are ignored (RFC 9110 section 7.8).
        guard Self.acceptsEvents(head), !head.has("upgrade", token: "websocket") else {
            self = .webSocket(key: try HandshakeGuard.checkUpgrade(head).key)
            return
        }
        self = .eventStream(cursor: EventCursor.brought(by: head))
    }

    private static func acceptsEvents(_ head: RequestHead) -> Bool {
        head.values(of: "accept").contains { line in
            line.split(separator: ",").contains { range in
                range.prefix { $0 != ";" }.trimmed.lowercased() == "text/event-stream"
            }
        }
    }
}
