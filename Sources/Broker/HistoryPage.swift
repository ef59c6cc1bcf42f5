/// What can be said to a reader that has seen everything up to a position (only the first two are "recovered").
public enum Continuity: Sendable, Equatable {
    /// Nothing is missing, or what is missing follows.
    case resumed
    /// The same, but another server, or a restarted one, goes on: nothing that the reader has seen was lost.
    case historyChanged
    /// Messages between are gone: trimmed, or older than the history's time, or nobody here can read them.
    case gap
    /// The reader has seen messages that Redis no longer knows.
    case rolledBack
    /// The group's key is new: nothing is known of what the reader has seen.
    case reset
    /// The group's key is new, but this gateway had heard everything until the old one ended, and hears everything of the
    /// new one: whoever is connected misses nothing. A cursor of the old one is of no more use.
    case renewed
    /// The group keeps no history: what was missed is gone, as the policy says.
    case liveOnly

    /// As `group_read` names its verdicts (redis/README.md), for people and programs outside.
    public var word: String {
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

/// One entry of a group's log. `publication` is nil when the message has expired, which is not a loss, or cannot be read,
/// which is one: the reader must be told before it gets the next entry.
public struct HistoryEntry: Sendable {
    public let offset: UInt64
    public let publication: Publication?
    /// There are bytes, and they are no message.
    public let isUnreadable: Bool

    public init(offset: UInt64, publication: Publication?, isUnreadable: Bool = false) {
        self.offset = offset
        self.publication = publication
        self.isUnreadable = isUnreadable
    }
}

/// An answer to "what came after this position".
public struct HistoryPage: Sendable {
    public let continuity: Continuity
    /// Where the group is now. nil: nothing was ever sent, and nobody has ever joined.
    public let position: Position?
    /// The offset up to which what the reader has seen is still valid, in the epoch and history of `position`.
    public let proven: UInt64
    /// In order; not all, when there are many: read on from the last one's offset.
    public let entries: [HistoryEntry]

    public init(continuity: Continuity, position: Position?, proven: UInt64, entries: [HistoryEntry]) {
        self.continuity = continuity
        self.position = position
        self.proven = proven
        self.entries = entries
    }

    /// Whether the log has entries after the page. A later read from the same position returns the same entries.
    public var isCut: Bool {
        guard let position, let last = entries.last else { return false }
        return last.offset < position.offset
    }

    /// The position of a reader that has taken these entries; nil: the group has none.
    public var end: Position? {
        position.map { Position(epoch: $0.epoch, history: $0.history, offset: entries.last?.offset ?? proven) }
    }

    public var hasUnreadable: Bool { entries.contains(where: \.isUnreadable) }

    /// The continuity for a reader that takes the page in one piece: an unreadable entry in it is a gap.
    public var continuityAsWhole: Continuity { continuity.isRecovered && hasUnreadable ? .gap : continuity }
}
