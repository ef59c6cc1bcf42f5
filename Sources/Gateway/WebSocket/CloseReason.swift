import Broker

/// Why the gateway ends a client's connection. Each dialect has a table that maps it to a close frame.
enum CloseReason: Equatable {
    /// The gateway stops: the client is to come back, after so many milliseconds where its dialect can say so.
    case drain(milliseconds: Int)
    /// An operator has ended it.
    case revoked
    /// The login was good until now.
    case expired
    /// Its socket was full for `slow_seconds`.
    case slow
    /// It sends more than `max_messages_per_second`.
    case rateLimited
    /// It did not answer a ping.
    case dead
    /// It did not say in time who it is.
    case stale
    /// Messages may be missing.
    case resync(Continuity)
    /// It sent what its dialect does not know.
    case badMessage
    /// Redis refused its message, and would again.
    case messageRefused
    /// Redis could not be reached with its message.
    case messageNotAccepted
    /// It sent a binary message.
    case binaryMessage
    /// It broke RFC 6455.
    case violation(CloseCode, String)
}

/// What a close frame says (RFC 6455, section 5.5.1).
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
