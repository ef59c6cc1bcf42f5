import NIOHTTP1

/// The kind of connection that a checked request asks for.
enum RequestedTransport: Equatable {
    /// The value to hash into Sec-WebSocket-Accept.
    case webSocket(key: String)
    /// Server-sent events, with the cursor from the request, if any.
    case eventStream(cursor: String?)
    /// One command on an inbox, as a body of so many bytes.
    case command(bytes: Int)

    /// - Throws: `Refusal` when the request asks for none of them.
    init(_ head: RequestHead) throws(Refusal) {
        if head.isCommand {
            guard let length = head.only("content-length"), length.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
                let bytes = Int(length)
            else {
                throw Refusal(
                    status: .lengthRequired, message: "a command needs exactly one Content-Length", reason: .malformed)
            }
            self = .command(bytes: bytes)
            return
        }
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
