public import NIOCore

/// A connection, as bytes. On its loop only.
///
/// What is written waits until `flush`. A socket that has ended takes writes and forgets them; nothing it does calls its
/// owner back before the call has returned.
public protocol StreamSocket: AnyObject {
    /// Who is told what happens; changed when a handshake becomes a client.
    var owner: (any StreamSocketOwner)? { get set }
    /// The other end.
    var peer: PeerAddress { get }
    /// False while more than the high watermark waits, until less than the low one does; and after the end.
    var isWritable: Bool { get }
    /// Bytes that wait for the kernel.
    var pendingBytes: Int { get }
    /// For how long the other end has acknowledged nothing of what is on its way to it; 0: nothing is. A peer that reads
    /// slowly acknowledges all the same.
    var unansweredSeconds: Int { get }
    func write(_ bytes: ByteBuffer)
    func flush()
    /// `write` and `flush` in one.
    func send(_ bytes: ByteBuffer)
    /// Ends it now; what waits is lost. The owner is told at the end of the loop's turn.
    func close()
    /// Ends the sending side when everything has left; the peer's end, or the owner's deadline, ends the rest.
    ///
    /// Closing a socket that holds unread bytes would send a reset, which throws away what the peer has not read yet.
    func finish()
}

extension StreamSocket {
    public func send(_ bytes: ByteBuffer) {
        write(bytes)
        flush()
    }
}

/// What a socket tells.
public protocol StreamSocketOwner: AnyObject {
    /// Some bytes; they are kept by whoever needs them longer.
    func received(_ bytes: ByteBuffer)
    /// There is room again.
    func becameWritable()
    /// The connection is gone, once.
    func ended()
}
