import NIOCore

/// How an event stream ends.
enum StreamEnding: Equatable {
    /// What a client is told last.
    enum Goodbye: Equatable {
        /// Come back, after so many milliseconds.
        case comeBack(milliseconds: Int)
        /// Do not come back, and why.
        case stayAway(reason: String)
    }

    /// At once: nothing that waits would reach the client.
    case cut
    /// When everything has left. Without a goodbye the client comes back by itself, with its cursor, and the handshake says
    /// whether it may.
    case finish(Goodbye?)
}

extension EventStreamClient {
    static func ending(for reason: CloseReason) -> StreamEnding {
        switch reason {
        case .drain(let milliseconds): .finish(.comeBack(milliseconds: milliseconds))
        case .revoked: .finish(.stayAway(reason: "ended by the operator"))
        case .slow, .dead: .cut
        // When the login has ended, it decides about the next stream, too.
        case .expired: .finish(nil)
        // A stream's client sends nothing, and is told of a loss by an event: it is not ended for any of these.
        case .rateLimited, .stale, .resync, .badMessage, .messageRefused, .messageNotAccepted, .binaryMessage,
            .violation:
            .finish(nil)
        }
    }

    static func bytes(of goodbye: StreamEnding.Goodbye) -> ByteBuffer {
        switch goodbye {
        case .comeBack(let milliseconds): EventWriter.retry(milliseconds: milliseconds)
        case .stayAway(let reason): EventWriter.end(reason: reason)
        }
    }
}
