import Broker

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
        for parameter in QueryString(target: head.target).parameters where !parameter.value.isEmpty {
            let value = parameter.decodedValue ?? String(parameter.value)
            if parameter.name == "since" { written = value }
            if ["lasteventid", "last-event-id"].contains(parameter.name.lowercased()) { appended = value }
        }
        return appended ?? written
    }
}
