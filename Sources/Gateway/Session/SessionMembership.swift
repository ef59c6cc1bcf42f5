import Broker

/// One session's place in one of its groups.
struct SessionMembership {
    enum Place {
        /// Keeps up: the slot in `GroupMembers.live`.
        case live(Int)
        /// A lagging cursor: everything up to here has been written to it. mustRead: the log has more, or may have.
        case behind(Position, mustRead: Bool)
        /// The same, and a page of the log is on its way.
        case reading(Position)
    }

    let members: GroupMembers
    var place: Place
    /// The last position that the client has been shown, for protocols that show it.
    var shown: Position?
    /// Messages without history that were dropped since the client was last told.
    var dropped = 0
}
