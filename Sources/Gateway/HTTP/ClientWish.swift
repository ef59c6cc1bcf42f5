import NIOHTTP1

/// What a checked request wants to become.
enum ClientWish: Equatable {
    /// The value to hash into Sec-WebSocket-Accept.
    case webSocket(key: String)
    /// Server-sent events; the cursor that the client brought, if any; its Origin, for CORS.
    case eventStream(cursor: String?, origin: String?)

    /// - Throws: `Refusal` when the request is neither.
    init(_ head: HTTPRequestHead) throws(Refusal) {
        let accepts = head.headers[canonicalForm: "accept"].map { $0.prefix { $0 != ";" }.lowercased() }
        guard accepts.contains("text/event-stream"), !head.headers.contains(name: "upgrade") else {
            self = .webSocket(key: try HandshakeGuard.checkUpgrade(head).key)
            return
        }
        // The header is the browser's own and newer than the address that the page once wrote.
        let cursor = head.headers["last-event-id"].last ?? Self.query("since", in: head.uri)
        self = .eventStream(cursor: cursor.flatMap { $0.isEmpty ? nil : $0 }, origin: head.headers["origin"].last)
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
