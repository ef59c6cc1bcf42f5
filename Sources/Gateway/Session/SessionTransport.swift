import Broker
import NIOCore
import Sockets

/// What a session writes to: a WebSocket or an event stream. On the shard's loop only.
///
/// `write`, `flush` and `send` stand in both classes alike. In an extension of a protocol their flag would be reached through
/// accessors, and checked for exclusive access each time: 115 instructions more of the 735 that a delivery may cost (Tests/Cost).
/// A struct with the socket in it would be held exclusively while a socket that encrypts calls its owner back, and an object of
/// its own is one more that a walk over 10,000 clients has to fetch from memory.
protocol SessionTransport: AnyObject {
    /// Whether anything can be sent to the client. False once the transport has started to close.
    var isOpen: Bool { get }
    /// False when the socket's buffer is full: nothing more should be queued.
    var isWritable: Bool { get }
    /// Bytes queued for the socket.
    var pendingBytes: Int { get }
    /// Queues bytes that are already in the transport's form; they are flushed at the end of the fan-out.
    func write(_ bytes: ByteBuffer)
    func flush()
    /// Hands the bytes to the socket now, after what is already queued.
    func send(_ bytes: ByteBuffer)
    var deflateWindow: DeflateWindow? { get }
    /// The user of the client's login; nil: none.
    var user: String? { get }
    /// Tells the client, in terms of its protocol, that messages may be missing.
    func tellLost(_ group: GroupName, _ continuity: Continuity)
    /// Tells the client how many messages it has missed for good: they were not logged and its socket was full.
    func tellDropped(_ group: GroupName, _ count: Int)
    /// Tells the client that a user's read state has changed, if it is the client's.
    func tellInbox(_ group: GroupName, _ change: ReadStateChange)
    /// Whether the client's user has read a message of the log.
    func isRead(_ position: Position, in group: GroupName) -> Bool
}

extension SessionTransport {
    /// Whether more can be written. Flushes first, which often empties the queue immediately.
    var hasRoom: Bool {
        if isWritable { return true }
        flush()
        return isWritable
    }

    func tellInbox(_ group: GroupName, _ change: ReadStateChange) {}
    func isRead(_ position: Position, in group: GroupName) -> Bool { false }

    /// The client's compression window; nil: it does not use compression.
    var deflateWindow: DeflateWindow? { nil }
}

/// What a handshake becomes: owns the socket until the connection ends.
protocol ConnectedClient: StreamSocketOwner, DeadlineOwner {
    /// The connection slot it holds.
    var slot: ConnectionSlot { get }
    /// Made with the transport: never nil once it has begun.
    var session: Session! { get }
    /// Its socket is its own.
    func begin()
    /// False once it has been told to disconnect.
    var isOpen: Bool { get }
    /// Tells the client when to reconnect, then ends the connection.
    func drain()
    /// Tells the client why its connection ends, so that it does not reconnect unchanged.
    func end(_ reason: CloseReason)
    /// Ends the connection immediately.
    func cut()
}
