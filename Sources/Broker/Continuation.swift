/// How a position goes on from the last one that a reader has seen: the one comparison by which gateways and clients tell
/// what is new, what is missing and what they have had.
public enum Continuation: Equatable, Sendable {
    /// This one, or a later one, has been seen.
    case seen
    /// The very next one: nothing lies between.
    case next
    /// So many lie between.
    case jump(UInt64)
    /// The reader has seen nothing of the group; so many came before.
    case begins(UInt64)
    /// Of another epoch or history: what lies between cannot be counted.
    case elsewhere
}

extension Position {
    public func continuation(of last: Position) -> Continuation {
        if isComparable(to: last) {
            if offset <= last.offset { return .seen }
            let between = offset - last.offset - 1
            return between == 0 ? .next : .jump(between)
        }
        return last == .beginning && offset > 0 ? .begins(offset - 1) : .elsewhere
    }

    /// Whether this is the very next position: nothing lies between, whatever came before.
    public func follows(_ last: Position) -> Bool {
        let continuation = continuation(of: last)
        return continuation == .next || continuation == .begins(0)
    }
}
