import Broker

/// What one user has read of one group, as far as this connection was told: for the `read` of messages from the log.
///
/// Compared by epoch and offset: in one epoch an offset is one message, also after a restart of Redis. A value without I/O.
struct ReadMarks: Equatable {
    /// The last state that was told.
    private(set) var state: InboxState
    /// Offsets for which the opposite of what the cursor says is true.
    private var singly: Set<UInt64>

    init(_ state: InboxState) {
        self.state = state
        singly = Set(state.readSingly).union(state.unreadSingly)
    }

    /// A change on one of the user's devices, whose state comes without the messages that were marked singly.
    mutating func apply(_ change: ReadStateChange) {
        let before = state.read
        state = change.state
        if state.read.epoch != before.epoch { singly = [] }
        switch change.mark {
        case .one(let position): mark(position, isRead: true)
        case .unreadOne(let position): mark(position, isRead: false)
        case .upTo, .all, nil: break
        }
        guard state.read.offset > before.offset else { return }
        // The cursor has passed messages that were read singly. It passes none that is unread, unless everything up to it was read.
        let isSingle = change.mark != nil
        singly = singly.filter { $0 > state.read.offset || isSingle && $0 <= before.offset }
    }

    private mutating func mark(_ position: Position, isRead: Bool) {
        guard position.epoch == state.read.epoch else { return }
        if isRead == (position.offset > state.read.offset) {
            singly.insert(position.offset)
        } else {
            singly.remove(position.offset)
        }
    }

    func isRead(_ position: Position) -> Bool {
        guard position.epoch == state.read.epoch else { return false }
        return (position.offset <= state.read.offset) != singly.contains(position.offset)
    }
}
