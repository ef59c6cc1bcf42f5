/// How a position relates to the last one that a reader has seen. Gateways and clients use this one comparison to tell new,
/// missing and already seen messages apart.
public enum Continuation: Equatable, Sendable {
    /// This position, or a later one, has been seen already.
    case seen
    /// The position directly after it.
    case next
    /// A later position; this many messages lie between.
    case jump(UInt64)
    /// The reader has seen nothing of the group; this many messages came before.
    case begins(UInt64)
    /// A position of another epoch or history: the messages between cannot be counted.
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

    /// Whether this position comes directly after `last`, or is the first of all.
    public func follows(_ last: Position) -> Bool {
        let continuation = continuation(of: last)
        return continuation == .next || continuation == .begins(0)
    }
}
