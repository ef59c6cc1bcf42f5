public import NIOCore

/// A connection's id: 64 random bits, unique in the fleet, written as 16 hex digits.
public struct ConnectionID: Hashable, Sendable, CustomStringConvertible {
    public let value: UInt64

    public init(value: UInt64) { self.value = value }
    /// - Parameter text: 16 hex digits, as in `description`; otherwise nil.
    public init?(_ text: String) {
        guard text.utf8.count == 16, text.allSatisfy(\.isHexDigit), let value = UInt64(text, radix: 16) else {
            return nil
        }
        self.value = value
    }

    public static func random() -> ConnectionID { ConnectionID(value: .random(in: .min ... .max)) }

    public var description: String { value.hex(count: 16) }
}

/// A connection as a member of groups, as it appears in the roster.
public struct Member: Sendable {
    public let connection: ConnectionID
    /// nil: not logged in.
    public let user: String?
    /// What other clients may see of the user, from the login: the text of a JSON object.
    public let info: ByteBuffer?

    public init(connection: ConnectionID, user: String?, info: ByteBuffer? = nil) {
        self.connection = connection
        self.user = user
        self.info = info
    }
}
