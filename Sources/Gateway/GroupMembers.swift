/// The sessions of one event loop that are in one group, packed, so that a fan-out walks an array.
///
/// Each session remembers its slot, so it leaves in O(1). Lives on its shard's loop.
final class GroupMembers {
    private(set) var sessions: ContiguousArray<WebSocketSession> = []

    var isEmpty: Bool { sessions.isEmpty }

    /// Returns the slot, which the session keeps.
    func add(_ session: WebSocketSession) -> Int {
        sessions.append(session)
        return sessions.count - 1
    }

    func remove(slot: Int) {
        let last = sessions.removeLast()
        guard slot < sessions.count else { return }
        sessions[slot] = last
        last.moved(to: slot, in: self)
    }
}

@available(*, unavailable) extension GroupMembers: Sendable {}
