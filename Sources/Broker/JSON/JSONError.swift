/// Why some bytes are not a JSON object, and where.
///
/// Contains nothing of the text, so it may be logged and shown to the sender.
public struct JSONError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The kind of error, in the terms of RFC 8259.
    public enum Reason: Equatable, Sendable {
        /// The text does not begin with `{`, or is empty.
        case notAnObject
        /// A byte that the grammar does not allow here.
        case unexpectedByte
        /// The text ends in the middle of the object.
        case unterminated
        /// A number with a leading zero, or without a digit where one is required.
        case badNumber
        /// A raw control character or an unknown escape in a string.
        case badString
        /// Bytes in a string that are not UTF-8.
        case badUTF8
        /// Objects and arrays nested deeper than ``JSONText/maximumNesting``.
        case nesting
        /// Something other than white space after the object.
        case trailing
    }

    /// Number of bytes before the offending one.
    public var offset: Int
    public var reason: Reason

    public init(offset: Int, reason: Reason) {
        self.offset = offset
        self.reason = reason
    }

    public var description: String {
        "\(self.reason) at byte \(self.offset)"
    }
}

extension JSONError.Reason: CustomStringConvertible {
    public var description: String {
        switch self {
        case .notAnObject: "not a JSON object"
        case .unexpectedByte: "unexpected byte in JSON"
        case .unterminated: "JSON ends too early"
        case .badNumber: "malformed JSON number"
        case .badString: "malformed JSON string"
        case .badUTF8: "JSON string is not UTF-8"
        case .nesting: "JSON nested too deeply"
        case .trailing: "bytes after the JSON object"
        }
    }
}
