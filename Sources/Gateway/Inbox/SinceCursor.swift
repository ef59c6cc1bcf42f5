import Broker

/// The `since=` in the URL of a `tocsin.v1` connection: where it goes on.
///
/// `POSITION` on a route with one group; `GROUP@POSITION`, separated by commas, for any number. Groups that are not named start now.
enum SinceCursor {
    /// The value in a request; nil: none.
    static func brought(by head: RequestHead) -> String? {
        let values = QueryString(target: head.target).parameters.filter { $0.name == "since" && !$0.value.isEmpty }
        return values.last.map { $0.decodedValue ?? String($0.value) }
    }

    /// - Returns: where each group starts; and the groups whose position could not be read, or all when the text names none.
    static func starts(
        _ text: String?, _ groups: [GroupName], _ entries: [GroupEntry]
    ) -> (starts: [Session.Start], unreadable: [GroupName]) {
        let now = entries.map { Session.Start($0) }
        guard let text else { return (now, []) }
        var starts = now
        var unreadable: [GroupName] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let pair = part.split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false)
            let name = pair.count == 2 ? String(pair[0]) : groups.count == 1 ? groups[0].text : nil
            guard let index = groups.firstIndex(where: { $0.text == name }) else {
                return (now, groups)
            }
            if let position = Position(pair[pair.count - 1]) {
                starts[index] = Session.Start(
                    position: position, isResumption: true, tracking: entries[index].tracking)
            } else {
                unreadable.append(groups[index])
            }
        }
        return (starts, unreadable)
    }
}
