/// What a checked request wants to become.
enum RequestedTransport: Equatable {
    /// The value to hash into Sec-WebSocket-Accept.
    case webSocket(key: String)
    /// Server-sent events; the cursor that the client brought, if any.
    case eventStream(cursor: String?)

    /// - Throws: `Refusal` when the request is neither.
    init(_ head: RequestHead) throws(Refusal) {
        // Other upgrades (h2c, which some clients offer with every request) are not taken up (RFC 9110 section 7.8).
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
