public import NIOCore

/// Carries messages between gateways and tracks group membership.
///
/// The interface between the gateway's sockets and Redis: neither side imports the other. All methods may be called from
/// any thread; futures complete on one of the backplane's loops.
public protocol Backplane: AnyObject, Sendable {
    /// Registers the delivery targets: one outlet per event loop of the gateway, identified by its index. Call once, first.
    func attach(_ outlets: [any Outlet])

    /// Adds a connection to a group. Once the future succeeds, everything sent to the group is delivered to the outlet; the
    /// result has the group's position at that time.
    ///
    /// - Throws (in the future): `BackplaneError`. The membership is then undone.
    func groupAdd(_ member: Member, to group: GroupName, outlet: Int) -> EventLoopFuture<GroupEntry>

    /// The group's position, created if nothing was ever sent: for a client that must know the epoch before the first message.
    ///
    /// - Throws (in the future): `BackplaneError`.
    func position(of group: GroupName) -> EventLoopFuture<Position>

    /// Removes a connection from a group. Retried later if the backplane is unreachable.
    func groupDiscard(_ connection: ConnectionID, from group: GroupName, outlet: Int)

    /// Reads the messages of a group after `since`, oldest first, one page at a time. Concurrent reads share a round trip, and
    /// those from the same position share a page. Without `since`, returns only the group's position.
    ///
    /// - Parameter bytes: how much the reader has room for. A page may be shorter; it exceeds this by its last message at most,
    ///   unless others with more room read from the same position.
    /// - Throws (in the future): `BackplaneError`.
    func read(_ group: GroupName, since: Position?, bytes: Int, _ ticket: ReadTicket) -> EventLoopFuture<HistoryPage>

    /// Cancels the reads made with the ticket: they fail, and those not yet sent to Redis never are.
    func giveUp(_ ticket: ReadTicket)

    /// The connections in the group, on all gateways.
    ///
    /// - Throws (in the future): `BackplaneError`.
    func presence(_ group: GroupName) -> EventLoopFuture<[PresenceEntry]>

    /// Sends a JSON object to a group.
    ///
    /// - Throws (in the future): `BackplaneError` when the message was not accepted.
    func groupSend(_ message: ByteBuffer, to group: GroupName) -> EventLoopFuture<Receipt>

    /// Sends a JSON object to one channel of the layer: a general one, which a worker reads, a consumer's, or a connection's.
    ///
    /// - Returns: a future; false when nobody reads the channel any more.
    /// - Throws (in the future): `BackplaneError`; `.full` when the channel has no room.
    func channelSend(_ message: ByteBuffer, to channel: ChannelName) -> EventLoopFuture<Bool>

    /// Records that a user's device has a group's messages up to a position. Sent with those of the next 100 ms; a later
    /// confirmation of the same user replaces an earlier one. Repeated when Redis is away, and dropped when it refuses.
    func confirm(_ confirmation: Confirmation)

    /// Changes the read state of a user, and tells all of the user's devices.
    ///
    /// - Parameter user: nil as in `Confirmation`.
    /// - Throws (in the future): `BackplaneError`; `.refused` for a position that the group does not have, and for a user whose
    ///   group it is not.
    func mark(_ mark: ReadMark, in group: GroupName, user: String?) -> EventLoopFuture<InboxState>

    /// A user's messages, newest first: those before the position, or the newest.
    ///
    /// - Parameter limit: 0 (the state only) to 1,000.
    /// - Throws (in the future): as `mark`.
    func inbox(of group: GroupName, user: String?, before: Position?, limit: Int) -> EventLoopFuture<InboxPage>

    /// The name under which others send to a connection of this gateway.
    func channelName(of connection: ConnectionID) -> String
}

/// One entry of a group's roster.
public struct PresenceEntry: Sendable, Equatable {
    /// The connection's id: the part of its channel name after the `!`.
    public var connection: String
    /// nil: not logged in.
    public var user: String?
    /// The text of a JSON object.
    public var info: ByteBuffer?

    public init(connection: String, user: String?, info: ByteBuffer? = nil) {
        self.connection = connection
        self.user = user
        self.info = info
    }
}

/// The backplane's connection to one event loop of the gateway.
public protocol Outlet: Sendable {
    /// Delivers events of groups that this outlet has members in, in order. Called from any thread.
    func deliver(_ deliveries: [Delivery])
}

/// An event for the members of a group.
public enum Delivery: Sendable {
    case publication(Publication)
    /// A connection has joined or left the group, on any gateway.
    case presence(GroupName, PresenceEntry, joined: Bool)
    /// Messages may have been missed and cannot be recovered. Comes before anything newer of the group; members that have
    /// been told continue from the position.
    case lost(GroupName, Continuity, Position)
    /// The group's members may have missed messages that have no position.
    case mayHaveMissed(GroupName)
    /// A user's read state has changed on one of the user's devices.
    case inbox(GroupName, ReadStateChange)
    /// A message for one connection alone, if it is here: a JSON object that belongs to no group and no log; nil: it found no
    /// room on its way.
    case direct(ConnectionID, ByteBuffer?)
    /// Connections that an operator ends, if they are here.
    case end(ConnectionSelection)
}

/// Why the backplane did not carry out a request.
public struct BackplaneError: Error, Sendable, CustomStringConvertible {
    public enum Code: Sendable { case unavailable, refused, full }
    /// `unavailable`: try again later. `refused`: the same again will be refused again. `full`: a channel of the layer has no
    /// room, because nobody reads it or too slowly.
    public let code: Code
    public let message: String

    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    public var description: String { message }
}
