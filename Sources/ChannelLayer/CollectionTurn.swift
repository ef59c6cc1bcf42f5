/// Collects from one place at a time: whatever asks during a collection gets another one after it.
///
/// A value without I/O.
struct CollectionTurn {
    enum State: Equatable {
        case idle
        case underWay
        /// Asked for again since it began: what was written meanwhile may not have been seen.
        case dueAgain
    }

    private(set) var state = State.idle

    var isUnderWay: Bool { state != .idle }

    /// - Returns: whether to collect now.
    mutating func begin() -> Bool {
        let isFree = state == .idle
        state = isFree ? .underWay : .dueAgain
        return isFree
    }

    /// The collection that is under way has found more than it could take.
    mutating func foundMore() { if state == .underWay { state = .dueAgain } }

    /// - Returns: whether to begin again.
    mutating func end() -> Bool {
        defer { state = .idle }
        return state == .dueAgain
    }
}
