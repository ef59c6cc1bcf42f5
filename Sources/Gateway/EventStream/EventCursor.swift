import Broker

/// The `id:` of an event: the client's position in each of its groups, in order, separated by commas. Opaque to users.
enum EventCursor {
    /// The cursor of a stream that was told not to reconnect. Never the text of a position.
    static let end = "end"

    static func text(_ positions: [Position?]) -> String {
        positions.map { $0?.description ?? "-" }.joined(separator: ",")
    }

    /// - Returns: one position per group, nil where there is none; nil when the text is not a cursor for that many groups.
    static func parse(_ text: String, groups: Int) -> [Position?]? {
        guard text.utf8.count <= groups * 111 else { return nil }
        let parts = text.split(separator: ",", omittingEmptySubsequences: false)
        guard parts.count == groups else { return nil }
        var positions: [Position?] = []
        for part in parts {
            if part == "-" {
                positions.append(nil)
            } else if let position = Position(part) {
                positions.append(position)
            } else {
                return nil
            }
        }
        return positions
    }

    /// Where a stream starts: at the client's cursor, or at the groups' current positions.
    static func starts(
        _ cursor: String?, _ groups: [GroupName], _ entries: [GroupEntry]
    ) -> ([Session.Start], unreadable: [GroupName]) {
        let now = entries.map { Session.Start($0) }
        guard let cursor else { return (now, []) }
        guard let known = parse(cursor, groups: groups.count) else { return (now, groups) }
        let starts = zip(known, now).map { known, now in
            known.map { Session.Start(position: $0, isResumption: true, tracking: now.tracking) } ?? now
        }
        return (starts, [])
    }
}
