extension EventCursor {
    /// The cursor that a request brings; nil: none. Of several the newest counts:
    ///
    /// 1. `Last-Event-ID`, which a browser sends of itself when it comes back.
    /// 2. `lastEventId=` in the address, appended by clients that come back and cannot send the header (the EventSource
    ///    polyfill, whose users name it `Last-Event-ID`, too).
    /// 3. `since=` in the address that the page once wrote.
    ///
    /// A broken escape is kept: it makes a cursor that nobody can read, which the client is told.
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
