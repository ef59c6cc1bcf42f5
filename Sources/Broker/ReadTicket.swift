import Synchronization

/// Identifies a reader of group logs, so that its reads can be cancelled.
public final class ReadTicket: Sendable, Hashable {
    private let isOver = Atomic(false)

    public init() {}

    /// Prevents further reads with this ticket. Those already requested are cancelled by `Backplane.giveUp`.
    public func end() { isOver.store(true, ordering: .relaxed) }

    public var isEnded: Bool { isOver.load(ordering: .relaxed) }

    public static func == (one: ReadTicket, other: ReadTicket) -> Bool { one === other }
    public func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(self)) }
}
