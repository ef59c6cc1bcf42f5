import Broker

/// The sessions of one event loop that are in one group, and how far the group has been delivered on this loop.
///
/// Sessions that keep up are packed in `live`, which a fan-out walks. A session that cannot take more, or that joined
/// with a past, is a lagging cursor in `behind`: it is fed from the log until it has caught up. Lives on its shard's loop.
final class GroupMembers {
    let group: GroupName
    private(set) var live: ContiguousArray<Session> = []
    private(set) var behind: [Session] = []
    /// The position of the last publication that came here; nil: none since the loop has members.
    var last: Position?
    /// Sessions that are joining: publications count for them already.
    var joining = 0

    init(group: GroupName) { self.group = group }

    var isEmpty: Bool { live.isEmpty && behind.isEmpty && joining == 0 }

    func addLive(_ session: Session) {
        session.place(.live(live.count), in: self)
        live.append(session)
    }

    func addBehind(_ session: Session) { behind.append(session) }

    func removeLive(slot: Int) {
        let last = live.removeLast()
        guard slot < live.count else { return }
        live[slot] = last
        last.place(.live(slot), in: self)
    }

    func removeBehind(_ session: Session) { behind.removeAll { $0 === session } }
}

@available(*, unavailable) extension GroupMembers: Sendable {}
