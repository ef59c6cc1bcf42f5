public import Broker

/// Why a message from Redis cannot be read, and where.
///
/// Contains nothing of the message, so it may be logged.
public struct MessageError: Error, Equatable, Sendable, CustomStringConvertible {
    /// What is wrong with the message.
    public enum Reason: Equatable, Sendable {
        /// Neither a msgpack map nor a JSON object.
        case notAMap
        /// A Fernet token that none of the configured keys opens.
        case encrypted
        /// A length or count reaches beyond the end, or the message ends too early.
        case truncated
        /// Bytes after the msgpack map.
        case trailing
        /// Longer than ``MessagePack/maximumBytes``.
        case tooLarge
        /// Maps and arrays nested more deeply than ``MessagePack/maximumNesting``.
        case nesting
        /// A map key that is neither a str nor a bin. Django refuses those too (`strict_map_key`).
        case key
        /// A msgpack str that is not UTF-8.
        case badUTF8
        /// A msgpack extension type, including timestamps, which JSON cannot represent.
        case ext
        /// The byte 0xC1, which the msgpack specification never uses.
        case unusedByte
        /// `__asgi_channel__` is neither a string nor an array of strings.
        case channels
        /// Malformed JSON.
        case json(JSONError.Reason)
    }

    /// Number of bytes before the offending ones.
    public var offset: Int
    public var reason: Reason

    public init(offset: Int, reason: Reason) {
        self.offset = offset
        self.reason = reason
    }

    init(_ error: JSONError) {
        self.init(offset: error.offset, reason: .json(error.reason))
    }

    public var description: String {
        "\(self.reason) at byte \(self.offset)"
    }
}

extension MessageError.Reason: CustomStringConvertible {
    public var description: String {
        switch self {
        case .notAMap: "neither a msgpack map nor a JSON object"
        case .encrypted: "encrypted, and opened by none of redis.encryption_keys"
        case .truncated: "message ends too early"
        case .trailing: "bytes after the msgpack map"
        case .tooLarge: "message too large"
        case .nesting: "message nested too deeply"
        case .key: "map key is not a string"
        case .badUTF8: "msgpack string is not UTF-8"
        case .ext: "msgpack extension type"
        case .unusedByte: "byte that msgpack never uses"
        case .channels: "__asgi_channel__ is not a name or a list of names"
        case .json(let reason): reason.description
        }
    }
}
