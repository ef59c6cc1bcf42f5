public import NIOCore

/// What carries messages between gateways and knows who is a member of what.
///
/// The gateway's sockets and Redis meet here: neither side imports the other. All methods may be called from any
/// thread; futures complete on a loop of the backplane's.
public protocol Backplane: AnyObject, Sendable {
    /// Where deliveries go: one outlet per event loop of the gateway, known by its index. Called once, first.
    func attach(_ outlets: [any Outlet])

    /// Makes a connection a member of a group. When the future succeeds, what is sent to the group from then on is
    /// delivered to the outlet; the position is the group's at that time.
    ///
    /// - Throws (in the future): `BackplaneError`. The membership is then undone.
    func groupAdd(_ member: Member, to group: GroupName, outlet: Int) -> EventLoopFuture<Position>

    /// The group's position, made where nothing was ever sent: for a client that has to know the epoch before the first
    /// message comes.
    ///
    /// - Throws (in the future): `BackplaneError`.
    func position(of group: GroupName) -> EventLoopFuture<Position>

    /// Ends a membership. It is remembered while the backplane is unreachable.
    func groupDiscard(_ connection: ConnectionID, from group: GroupName, outlet: Int)

    /// What came to the group after `since`, oldest first, a page at a time. Reads of one moment share a round trip, and
    /// those from one position a page. Without `since`: the group's position only.
    ///
    /// - Parameter bytes: how much the reader has room for. A page may be shorter; it goes over by its last message at most,
    ///   unless others with more room read from the same position.
    /// - Throws (in the future): `BackplaneError`.
    func read(_ group: GroupName, since: Position?, bytes: Int, _ ticket: ReadTicket) -> EventLoopFuture<HistoryPage>

    /// Nobody waits any more for what was asked for with the ticket: its reads fail, and what has not been sent to Redis
    /// will not be.
    func giveUp(_ ticket: ReadTicket)

    /// Who is connected in the group, on all gateways.
    ///
    /// - Throws (in the future): `BackplaneError`.
    func presence(_ group: GroupName) -> EventLoopFuture<[PresenceEntry]>

    /// Sends a JSON object to a group.
    ///
    /// - Throws (in the future): `BackplaneError`; a message that was not accepted says so.
    func groupSend(_ message: ByteBuffer, to group: GroupName) -> EventLoopFuture<Receipt>
}

/// One line of a group's roster.
public struct PresenceEntry: Sendable, Equatable {
    /// Within the fleet: the part of its channel name after the `!`.
    public var connection: String
    /// nil: nobody is logged in.
    public var user: String?
    /// A JSON object's text.
    public var info: ByteBuffer?

    public init(connection: String, user: String?, info: ByteBuffer? = nil) {
        self.connection = connection
        self.user = user
        self.info = info
    }
}

/// One event loop's end of the backplane.
public protocol Outlet: Sendable {
    /// What happened in groups that this outlet has members in, in order. Called from any thread.
    func deliver(_ deliveries: [Delivery])
}

/// What a group's members are to be given or told.
public enum Delivery: Sendable {
    case publication(Publication)
    /// Somebody has joined the group, or left it, anywhere.
    case presence(GroupName, PresenceEntry, joined: Bool)
    /// Before anything newer of the group: something between may have been missed and cannot be had any more. Whoever has
    /// been told stands at the position.
    case lost(GroupName, Continuity, Position)
    /// Messages without positions may have been missed by the group's members.
    case mayHaveMissed(GroupName)
    /// A message for one connection alone, if it is here: a JSON object that belongs to no group and no log; nil: it found no
    /// room on its way.
    case direct(ConnectionID, ByteBuffer?)
    /// Connections that an operator ends, if they are here.
    case end(ConnectionSelection)
}

/// Why the backplane did not do what was asked.
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
