/// Whether a reader that has seen everything up to a position misses messages (only the first two count as "recovered").
public enum Continuity: Sendable, Equatable {
    /// Nothing is missing, or everything missing follows.
    case resumed
    /// As `resumed`, but on another or restarted server: nothing that the reader has seen was lost.
    case historyChanged
    /// Messages in between are lost: trimmed, expired, or unreadable.
    case gap
    /// The reader has seen messages that Redis has lost.
    case rolledBack
    /// The group's key is new: nothing is known about what the reader has seen.
    case reset
    /// The group's key is new, but this gateway received everything until the old one ended, and receives everything of the
    /// new one: connected clients miss nothing. A cursor in the old one is useless.
    case renewed
    /// The group keeps no history: missed messages are gone, as its policy says.
    case liveOnly

    /// The name of the verdict in `group_read` (redis/README.md), for people and programs outside.
    public var name: String {
        switch self {
        case .resumed: "resumed"
        case .historyChanged: "history_changed"
        case .gap: "gap"
        case .rolledBack: "rolled_back"
        case .reset, .renewed: "reset"
        case .liveOnly: "live"
        }
    }

    public var isRecovered: Bool { self == .resumed || self == .historyChanged }
}

/// One entry of a group's log. `publication` is nil when the message has expired, which is not a loss, or is unreadable,
/// which is one: the reader must be told before it gets the next entry.
public struct HistoryEntry: Sendable {
    public let offset: UInt64
    public let publication: Publication?
    /// The entry has bytes, but they are not a valid message.
    public let isUnreadable: Bool

    public init(offset: UInt64, publication: Publication?, isUnreadable: Bool = false) {
        self.offset = offset
        self.publication = publication
        self.isUnreadable = isUnreadable
    }
}

/// The answer to a read of the log after some position.
public struct HistoryPage: Sendable {
    public let continuity: Continuity
    /// The group's current position. nil: nothing was ever sent, and nobody has ever joined.
    public let position: Position?
    /// The offset up to which what the reader has seen is still valid, in the epoch and history of `position`.
    public let proven: UInt64
    /// In order, and possibly not all: if there are more, continue reading from the last one's offset.
    public let entries: [HistoryEntry]

    public init(continuity: Continuity, position: Position?, proven: UInt64, entries: [HistoryEntry]) {
        self.continuity = continuity
        self.position = position
        self.proven = proven
        self.entries = entries
    }

    /// Whether the log has entries after this page. Reading from the same position again returns the same entries.
    public var isCut: Bool {
        guard let position, let last = entries.last else { return false }
        return last.offset < position.offset
    }

    /// The reader's position after this page; nil: the group has none.
    public var end: Position? {
        position.map { Position(epoch: $0.epoch, history: $0.history, offset: entries.last?.offset ?? proven) }
    }

    public var hasUnreadable: Bool { entries.contains(where: \.isUnreadable) }

    /// The continuity for a reader that takes the page as a whole: an unreadable entry makes it a gap.
    public var continuityAsWhole: Continuity { continuity.isRecovered && hasUnreadable ? .gap : continuity }
}
