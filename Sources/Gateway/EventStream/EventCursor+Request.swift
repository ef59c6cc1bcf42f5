extension EventCursor {
    /// The cursor in a request; nil: none. If there are several, the most recent wins:
    ///
    /// 1. `Last-Event-ID`, which a browser sends by itself when it reconnects.
    /// 2. `lastEventId=` in the URL, appended on reconnect by clients that cannot set the header (the EventSource polyfill,
    ///    whose users may name it `Last-Event-ID` instead).
    /// 3. `since=` in the URL, as the page first wrote it.
    ///
    /// A broken percent-escape is kept: it makes an unreadable cursor, which is reported to the client.
    static func brought(by head: RequestHead) -> String? {
        if let header = head.last("last-event-id"), !header.isEmpty { return header }
        var appended: String?, written: String?
        for (name, value) in parameters(of: head.target) where !value.isEmpty {
            if name == "since" { written = value }
            if ["lasteventid", "last-event-id"].contains(name.lowercased()) { appended = value }
        }
        return appended ?? written
    }

    private static func parameters(of target: String) -> [(name: Substring, value: String)] {
        guard let mark = target.firstIndex(of: "?") else { return [] }
        return target[target.index(after: mark)...].split(separator: "&").map { pair in
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let value = parts.count == 2 ? parts[1] : ""
            return (parts[0], PercentDecoding.decode(value) ?? String(value))
        }
    }
}
