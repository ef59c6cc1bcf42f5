import Broker

/// One session's membership in one of its groups.
struct SessionMembership {
    let members: GroupMembers
    /// The slot in `GroupMembers.live`; nil: the session is in `behind`.
    var slot: Int?
    private var kept: ClientCursor

    init(members: GroupMembers, cursor: ClientCursor) {
        self.members = members
        kept = cursor
    }

    /// What a fan-out reads is stored in the slot of a live member, so the cursor is assembled on demand.
    var cursor: ClientCursor {
        get {
            guard let slot else { return kept }
            var cursor = kept
            cursor.shown = members.live[slot].shown
            return cursor
        }
        set {
            kept = newValue
            if let slot { members.show(newValue.shown, slot: slot) }
        }
    }

    /// The last position shown to the client.
    var shown: Position? { if let slot { members.live[slot].shown } else { kept.shown } }
    var dropped: Int { kept.dropped }
    var state: ClientCursor.State { kept.state }
}
