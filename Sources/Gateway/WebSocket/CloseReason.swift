import Broker

/// Why the gateway ends a client's connection. Each dialect has a table that maps it to a close frame, event streams one that maps
/// it to a last event.
enum CloseReason: Equatable {
    /// The gateway is stopping: the client should reconnect, after this delay where its dialect can express one.
    case drain(milliseconds: Int)
    /// An operator has ended the connection.
    case revoked
    /// The login has expired.
    case expired
    /// The socket was full for `slow_seconds`.
    case slow
    /// The client sent more than `max_messages_per_second`.
    case rateLimited
    /// The client did not answer a ping.
    case dead
    /// The client did not authenticate in time.
    case stale
    /// Messages may be missing.
    case resync(Continuity)
    /// The client sent something that its dialect does not know.
    case badMessage
    /// Redis refused the client's message, and would refuse it again.
    case messageRefused
    /// Redis could not be reached with the client's message.
    case messageNotAccepted
    /// The client sent a binary message.
    case binaryMessage
    /// The client broke RFC 6455.
    case violation(CloseCode, String)
}

/// The contents of a close frame (RFC 6455, section 5.5.1).
struct CloseWords: Equatable {
    let code: UInt16
    let reason: String

    init(_ code: CloseCode, _ reason: String) {
        self.init(code: code.rawValue, reason: reason)
    }

    init(code: UInt16, reason: String) {
        self.code = code
        self.reason = reason
    }
}
