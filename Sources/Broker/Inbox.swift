public import NIOCore

/// What a group's policy keeps about its users: whether they have its messages, and what they have read.
public enum Tracking: Sendable, Equatable {
    case none
    /// `receipts: true`: how far each user's devices have the group's messages.
    case receipts
    /// `inbox: true`: receipts, and what each user has read.
    case inbox
}

/// The answer to a join.
public struct GroupEntry: Sendable, Equatable {
    /// The group's position at the time of the join.
    public let position: Position
    public let tracking: Tracking

    public init(position: Position, tracking: Tracking = .none) {
        self.position = position
        self.tracking = tracking
    }
}

/// The proof that a user's device has everything of a group up to a position.
public struct Confirmation: Sendable, Equatable {
    public let group: GroupName
    /// nil: the connection has no login. In a group whose policy names its user (`match: "{user}…"`) it then counts for that
    /// user, because the route let it in; elsewhere for nobody.
    public let user: String?
    public let position: Position
    /// The device has the messages after this one, of the same epoch and history; nil: all since the user's last proof, as a
    /// cursor says that a client brings back. A device that was not there says nothing of what was sent meanwhile.
    public let after: UInt64?

    public init(group: GroupName, user: String?, position: Position, after: UInt64? = nil) {
        self.group = group
        self.user = user
        self.position = position
        self.after = after
    }
}

/// What a user does to the read state of an inbox. Repeating a mark changes nothing, and the order of marks does not matter
/// except between `one` and `unreadOne` of the same message.
public enum ReadMark: Sendable, Equatable {
    /// Everything up to the position is read.
    case upTo(Position)
    case one(Position)
    case unreadOne(Position)
    case all
}

/// The read state of one user in one group.
public struct InboxState: Sendable, Equatable {
    /// Messages in the log that are not read: without expired, collapsed and trimmed ones.
    public let unread: Int
    /// Everything up to here is read.
    public let read: Position
    /// Offsets after `read` that were read singly, ascending. Empty in the events for other devices.
    public let readSingly: [UInt64]
    /// Offsets up to `read` that were marked as unread, ascending. Empty in the events for other devices.
    public let unreadSingly: [UInt64]

    public init(unread: Int, read: Position, readSingly: [UInt64] = [], unreadSingly: [UInt64] = []) {
        self.unread = unread
        self.read = read
        self.readSingly = readSingly
        self.unreadSingly = unreadSingly
    }

    /// Whether the message at an offset of the same epoch is read.
    public func hasRead(_ offset: UInt64) -> Bool {
        offset > read.offset ? readSingly.contains(offset) : !unreadSingly.contains(offset)
    }

    /// The entries that clients and programs are told: `"unread":2,"read":POSITION`.
    public func write(to json: inout JSONWriter) {
        json.number("unread", unread)
        json.string("read", read.description)
    }
}

/// A change of a user's read state, for all of the user's devices.
public struct ReadStateChange: Sendable, Equatable {
    public let user: String
    public let state: InboxState
    /// `one` or `unreadOne` when the change was about a single message; nil otherwise.
    public let mark: ReadMark?

    public init(user: String, state: InboxState, mark: ReadMark? = nil) {
        self.user = user
        self.state = state
        self.mark = mark
    }
}

/// Some of a user's messages, newest first.
public struct InboxPage: Sendable, Equatable {
    public struct Entry: Sendable, Equatable {
        public let position: Position
        /// One JSON object on one line, without the broker's own entries.
        public let json: ByteBuffer
        public let isRead: Bool

        public init(position: Position, json: ByteBuffer, isRead: Bool) {
            self.position = position
            self.json = json
            self.isRead = isRead
        }
    }

    public let state: InboxState
    public let entries: [Entry]

    public init(state: InboxState, entries: [Entry] = []) {
        self.state = state
        self.entries = entries
    }
}
