/// An error in the communication with Redis: a code to act on, and a text for people.
public struct RedisError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What a caller can act on. A struct over a private enum, so that codes can be added.
    public struct Code: Sendable, Equatable {
        private enum Value {
            case unavailable, timeout, overloaded, server, unexpectedAnswer, protocolViolation, badAddress, stopped
        }
        private let value: Value
        /// There is no connection. The command was not sent.
        public static let unavailable = Code(value: .unavailable)
        /// No answer in time, or the connection ended first: the command may or may not have been executed.
        public static let timeout = Code(value: .timeout)
        /// Too many commands are waiting. The command was not sent.
        public static let overloaded = Code(value: .overloaded)
        /// Redis answered with an error: `message` is its text, `kind` its first word.
        public static let server = Code(value: .server)
        /// The command was executed, but its answer does not have the expected form.
        public static let unexpectedAnswer = Code(value: .unexpectedAnswer)
        /// The bytes from the server are not Redis' protocol.
        public static let protocolViolation = Code(value: .protocolViolation)
        /// The address cannot be parsed.
        public static let badAddress = Code(value: .badAddress)
        /// The client was closed by its owner.
        public static let stopped = Code(value: .stopped)
    }

    public let code: Code
    public let message: String

    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// Converts a future's error; any other type becomes `.unavailable`.
    public init(_ error: any Error) { self = error as? RedisError ?? RedisError(.unavailable, "\(error)") }

    /// The first word of a server's error: `NOPERM`, `LOADING`, `ERR`…; empty for other codes.
    public var kind: Substring {
        code == .server ? message.prefix { $0 != " " } : ""
    }

    /// The server has become a replica, or its primary is down (redis.io, "Replication"): dialling again may lead to the new
    /// primary.
    public var isOfReplica: Bool { kind == "READONLY" || kind == "MASTERDOWN" }

    public var description: String { code == .server ? "Redis answered: \(message)" : message }
}
