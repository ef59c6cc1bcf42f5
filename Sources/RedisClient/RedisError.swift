/// What went wrong with Redis: a code to act on, and words for a person.
public struct RedisError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What a caller may decide on. New codes can come: it is a struct over a private enum.
    public struct Code: Sendable, Equatable {
        private enum Value {
            case unavailable, timeout, overloaded, server, unexpectedAnswer, protocolViolation, badAddress, stopped
        }
        private let value: Value
        /// There is no connection now. The command was not sent.
        public static let unavailable = Code(value: .unavailable)
        /// No answer in time, or the connection ended before it: the command may or may not have been carried out.
        public static let timeout = Code(value: .timeout)
        /// Too many commands wait already. The command was not sent.
        public static let overloaded = Code(value: .overloaded)
        /// Redis answered with an error: `message` is its text, `kind` its first word.
        public static let server = Code(value: .server)
        /// The command was carried out, and its answer is not of the form that it has to have.
        public static let unexpectedAnswer = Code(value: .unexpectedAnswer)
        /// What came from the server is not a Redis protocol.
        public static let protocolViolation = Code(value: .protocolViolation)
        /// The address cannot be understood.
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

    /// An error of a future that fails with this type; any other counts as `.unavailable`.
    public init(_ error: any Error) { self = error as? RedisError ?? RedisError(.unavailable, "\(error)") }

    /// The first word of a server's error: `NOPERM`, `LOADING`, `ERR`…; empty for other codes.
    public var kind: Substring {
        code == .server ? message.prefix { $0 != " " } : ""
    }

    /// This server is a replica by now, or follows one that is away (redis.io, "Replication"): the address may lead to the
    /// new primary.
    public var isOfReplica: Bool { kind == "READONLY" || kind == "MASTERDOWN" }

    public var description: String { code == .server ? "Redis answered: \(message)" : message }
}
