public import NIOCore

/// One connection's number, unique in the fleet (64 random bits), written in 16 hex digits.
public struct ConnectionID: Hashable, Sendable, CustomStringConvertible {
    public let value: UInt64

    public init(value: UInt64) { self.value = value }
    /// - Parameter text: 16 hex digits, as `description` writes them; nil: something else.
    public init?(_ text: String) {
        guard text.utf8.count == 16, text.allSatisfy(\.isHexDigit), let value = UInt64(text, radix: 16) else {
            return nil
        }
        self.value = value
    }

    public static func random() -> ConnectionID { ConnectionID(value: .random(in: .min ... .max)) }

    public var description: String { value.hex(count: 16) }
}

/// A connection as a member of groups: what the roster says of it.
public struct Member: Sendable {
    public let connection: ConnectionID
    /// nil: nobody is logged in.
    public let user: String?
    /// What the login says about the user for others to see: a JSON object's text.
    public let info: ByteBuffer?

    public init(connection: ConnectionID, user: String?, info: ByteBuffer? = nil) {
        self.connection = connection
        self.user = user
        self.info = info
    }
}
