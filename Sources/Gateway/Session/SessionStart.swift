import Broker

extension Session {
    /// Where a session starts in a group.
    struct Start {
        var position: Position
        /// The client was connected before, and wants what came since.
        var isResumption: Bool
        var tracking = Tracking.none
    }
}

extension Session.Start {
    /// At the group's current position.
    init(_ entry: GroupEntry) {
        self.init(position: entry.position, isResumption: false, tracking: entry.tracking)
    }
}
