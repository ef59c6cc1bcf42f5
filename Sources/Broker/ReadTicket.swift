import Synchronization

/// Somebody who reads a group's log: with it the reads that it waits for can be given up.
public final class ReadTicket: Sendable, Hashable {
    private let isOver = Atomic(false)

    public init() {}

    /// What is asked for with it from now on is not read; `Backplane.giveUp` says it of what was asked for before.
    public func end() { isOver.store(true, ordering: .relaxed) }

    public var isEnded: Bool { isOver.load(ordering: .relaxed) }

    public static func == (one: ReadTicket, other: ReadTicket) -> Bool { one === other }
    public func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(self)) }
}
