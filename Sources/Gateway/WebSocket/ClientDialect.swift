import Broker
import NIOCore

/// The protocol spoken over a WebSocket: plain or centrifuge. `WebSocketConnection` handles frames, keep-alive and the close
/// handshake.
///
/// Lives on its shard's loop; owned by its connection.
protocol ClientDialect: AnyObject {
    var keepAlive: KeepAlive { get }
    /// Seconds within which the client must authenticate; nil: it did so in the handshake.
    var openingSeconds: Int? { get }
    /// Whether the client has authenticated.
    var isEstablished: Bool { get }

    /// Called when the response to the handshake has been written.
    func opened()
    func received(_ text: ByteBuffer)
    /// - Returns: false when the dialect has no binary messages.
    func received(binary: ByteBuffer) -> Bool
    /// Called when a socket that was full has room again.
    func roomAgain()
    /// Called when the continuity of a group was lost.
    func lost(_ group: GroupName, _ continuity: Continuity)
    /// Called when the connection has ended.
    func ended()

    /// The contents of the close frame for a reason; nil: the connection ends without one.
    static func words(for reason: CloseReason) -> CloseWords?
}

/// How to check that a client is still alive.
struct KeepAlive {
    /// The ping frame to send.
    var ping: ByteBuffer
    /// Whether `ping` is a message of the dialect rather than a WebSocket ping.
    var isOwn = false
    /// Seconds between two pings.
    var interval: Int
    /// Seconds within which anything must arrive from the client after a ping.
    var wait: Int
}

/// What a dialect may use of its connection. On the shard's loop only.
protocol DialectConnection: AnyObject {
    /// False when the socket is full.
    var isWritable: Bool { get }
    /// Sends a text message.
    func say(_ text: ByteBuffer)
    func say(binary: ByteBuffer)
    func close(_ reason: CloseReason)
    func close(_ words: CloseWords)
    /// Charges `count` further commands of one message against the rate limit.
    ///
    /// - Returns: false when the limit is exceeded; the connection is then closing.
    func charge(_ count: Int) -> Bool
    /// Records a login by token, or its renewal, and how long the connection may stay.
    ///
    /// - Throws: `Refusal` when the user has too many connections, or the login has expired.
    func loggedIn(_ identity: Identity) throws(Refusal)
}
