import Broker
import NIOCore

/// What is said over a WebSocket: the plain protocol, centrifuge's. `WebSocketConnection` has the frames, the keep-alive and
/// the close handshake.
///
/// Lives on its shard's loop, owned by its connection.
protocol ClientDialect: AnyObject {
    var keepAlive: KeepAlive { get }
    /// Seconds until the client must have said who it is; nil: the handshake has.
    var openingSeconds: Int? { get }
    /// Whether it has.
    var isEstablished: Bool { get }

    /// The answer to the handshake is out.
    func opened()
    func received(_ text: ByteBuffer)
    /// - Returns: false when the dialect knows no binary messages.
    func received(binary: ByteBuffer) -> Bool
    /// The socket was full, and has room again.
    func roomAgain()
    /// Continuity of a group was lost.
    func lost(_ group: GroupName, _ continuity: Continuity)
    /// The connection is over.
    func ended()

    /// The close frame for a reason; nil: the connection ends without one.
    static func words(for reason: CloseReason) -> CloseWords?
}

/// How a client is asked whether it still lives.
struct KeepAlive {
    /// The frame that asks.
    var ping: ByteBuffer
    /// Seconds between two of them.
    var interval: Int
    /// Seconds in which anything must have come from the client after one.
    var wait: Int
}

/// What a dialect uses of its connection. On the shard's loop only.
protocol DialectConnection: AnyObject {
    /// False when the socket is full.
    var isWritable: Bool { get }
    /// Sends a text message.
    func say(_ text: ByteBuffer)
    func say(binary: ByteBuffer)
    func close(_ reason: CloseReason)
    func close(_ words: CloseWords)
    /// Charges commands against the rate limit that came in one message with others.
    ///
    /// - Returns: false when it is too many: the client has been told.
    func charge(_ count: Int) -> Bool
    /// A token has said who the client is, or that it still is: until when the connection may stay.
    ///
    /// - Throws: `Refusal` when the user has too many connections, or the login has ended.
    func loggedIn(_ identity: Identity) throws(Refusal)
}
