public import NIOCore

/// A byte-stream connection. Used on its loop only.
///
/// Writes are queued until `flush`. After the end writes are ignored. No method calls the owner back before it has
/// returned.
public protocol StreamSocket: AnyObject {
    /// Receives the socket's events. Replaced when a handshake becomes a client.
    var owner: (any StreamSocketOwner)? { get set }
    /// The peer's address.
    var peer: PeerAddress { get }
    /// False from when more than the high watermark is queued until less than the low one is; and after the end.
    var isWritable: Bool { get }
    /// Bytes queued for the kernel.
    var pendingBytes: Int { get }
    /// For how long the peer has acknowledged nothing of what was sent to it; 0: nothing is unacknowledged. A peer that reads
    /// slowly still acknowledges.
    var unansweredSeconds: Int { get }
    func write(_ bytes: ByteBuffer)
    func flush()
    /// `write` and `flush` in one call.
    func send(_ bytes: ByteBuffer)
    /// Closes immediately; queued bytes are lost. The owner is told at the end of the loop's turn.
    func close()
    /// Ends the sending side once everything has been sent; the rest ends with the peer, or at the owner's deadline.
    ///
    /// Closing a socket with unread input would send a reset, which discards what the peer has not read yet.
    func finish()
}

extension StreamSocket {
    public func send(_ bytes: ByteBuffer) {
        write(bytes)
        flush()
    }
}

/// Receives the events of a socket.
public protocol StreamSocketOwner: AnyObject {
    /// Bytes have arrived. The buffer may be kept.
    func received(_ bytes: ByteBuffer)
    /// The socket has room again.
    func becameWritable()
    /// The connection has ended. Called once.
    func ended()
}
