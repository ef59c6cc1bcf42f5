import Broker

/// One session's place in one of its groups.
struct SessionMembership {
    enum Place {
        /// Keeps up: the slot in `GroupMembers.live`.
        case live(Int)
        /// A lagging cursor: everything up to here has been written to it. mustRead: the log has more, or may have.
        case behind(Position, mustRead: Bool)
        /// The same, and a page of the log is on its way.
        case reading(Position, ReadTicket)
    }

    let members: GroupMembers
    var place: Place
    /// Messages without history that were dropped since the client was last told.
    var dropped = 0
    /// While the place is not live.
    private var shownBefore: Position?

    /// Where a session begins.
    init(members: GroupMembers, start: Session.Start) {
        self.members = members
        place = .behind(start.position, mustRead: start.isResumption)
        shownBefore = start.position
    }

    /// The last position that the client has been shown. A live member has it in its slot.
    var shown: Position? {
        get { if case .live(let slot) = place { members.live[slot].shown } else { shownBefore } }
        set { if case .live(let slot) = place { members.show(newValue, slot: slot) } else { shownBefore = newValue } }
    }
}
