import Broker
import NIOCore

/// The protocol spoken over a WebSocket: plain, `tocsin.v1` or centrifuge. `WebSocketConnection` handles frames, keep-alive and the close
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
    /// Called when messages of a group without history were dropped: the client was too slow.
    func dropped(_ group: GroupName, _ count: Int)
    /// Called when a user's read state in one of the groups has changed.
    func inboxChanged(_ group: GroupName, _ change: ReadStateChange)
    /// Whether the client's user has read a message of the log.
    func isRead(_ position: Position, in group: GroupName) -> Bool
    /// Called when the connection has ended.
    func ended()

    /// The contents of the close frame for a reason; nil: the connection ends without one.
    static func words(for reason: CloseReason) -> CloseWords?
}

/// Dialects without words for these.
extension ClientDialect {
    func dropped(_ group: GroupName, _ count: Int) {}
    func inboxChanged(_ group: GroupName, _ change: ReadStateChange) {}
    func isRead(_ position: Position, in group: GroupName) -> Bool { false }
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

    /// WebSocket pings. The interval varies by ± 10 %, derived from the connection's random id.
    static func pings(of connection: ConnectionID, _ configuration: GatewayConfiguration) -> KeepAlive {
        let interval = configuration.pingSeconds, spread = interval / 10
        let own = interval - spread + Int(connection.value % UInt64(2 * spread + 1))
        return KeepAlive(ping: FrameWriter.ping(), interval: max(own, 1), wait: configuration.pongSeconds)
    }
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
