/// What a checked request wants to become.
enum ClientWish: Equatable {
    /// The value to hash into Sec-WebSocket-Accept.
    case webSocket(key: String)
    /// Server-sent events; the cursor that the client brought, if any; its Origin, for CORS.
    case eventStream(cursor: String?, origin: String?)

    /// - Throws: `Refusal` when the request is neither.
    init(_ head: RequestHead) throws(Refusal) {
        guard !head.has("upgrade"), Self.acceptsEvents(head) else {
            self = .webSocket(key: try HandshakeGuard.checkUpgrade(head).key)
            return
        }
        // The header is the browser's own and newer than the address that the page once wrote.
        let cursor = head.last("last-event-id") ?? Self.query("since", in: head.target)
        self = .eventStream(cursor: cursor.flatMap { $0.isEmpty ? nil : $0 }, origin: head.last("origin"))
    }

    private static func acceptsEvents(_ head: RequestHead) -> Bool {
        head.values(of: "accept").joined(separator: ",").split(separator: ",").contains { range in
            range.prefix { $0 != ";" }.trimmingPrefix(" ").lowercased() == "text/event-stream"
        }
    }

    /// The value of a query parameter, percent-decoded.
    static func query(_ name: String, in uri: String) -> String? {
        guard let mark = uri.firstIndex(of: "?") else { return nil }
        for pair in uri[uri.index(after: mark)...].split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            if parts[0] == name { return PercentDecoding.decode(parts.count == 2 ? parts[1] : "") }
        }
        return nil
    }
}
