import Broker
import NIOCore
import Sockets

/// What a session writes to: a WebSocket or an event stream. On the shard's loop only.
protocol SessionTransport: AnyObject {
    /// Whether the client can be sent anything: not after its transport has said goodbye.
    var isOpen: Bool { get }
    /// False when the socket's buffer is full: nothing more is queued then.
    var isWritable: Bool { get }
    /// Bytes that wait for the socket.
    var pendingBytes: Int { get }
    /// Queues bytes that are already in the transport's form; the flush comes at the end of the fan-out.
    func write(_ bytes: ByteBuffer)
    func flush()
    /// Hands the bytes to the socket now, after what is queued already.
    func send(_ bytes: ByteBuffer)
    var deflateWindow: DeflateWindow? { get }
    /// The client has to be told that messages between may be missing, in the words of its protocol.
    func tellLost(_ group: GroupName, _ continuity: Continuity)
    /// So many messages that cannot be read again came while the client read nothing, and are gone.
    func tellDropped(_ group: GroupName, _ count: Int)
}

extension SessionTransport {
    /// Whether more can be written. What waits is handed to the socket first, which often takes it at once.
    var hasRoom: Bool {
        if isWritable { return true }
        flush()
        return isWritable
    }

    /// What the client inflates publications with; nil: it does not.
    var deflateWindow: DeflateWindow? { nil }
}

/// What a handshake becomes: it owns the socket until that ends.
protocol ConnectedClient: StreamSocketOwner, Ticking {
    /// What it was let in with.
    var slot: ConnectionSlot { get }
    /// Made with the transport: never nil once it has begun.
    var session: Session! { get }
    /// Its socket is its own.
    func begin()
    /// Whether it has not been told to go yet.
    var isOpen: Bool { get }
    /// Tells the client to come back, and when, and ends.
    func drain()
    /// Tells the client why its connection ends, in words that keep it from coming back as it was.
    func end(_ reason: CloseReason)
    /// Ends at once.
    func cut()
}
