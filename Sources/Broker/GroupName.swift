/// A group's name, with the rules of channels_redis: 1 to 99 of ASCII letters, digits, `-`, `_` and `.`.
///
/// Source: channels 4.3, `BaseChannelLayer.valid_group_name`. Python's `\d` also accepts digits of other scripts; such
/// names are refused here.
public struct GroupName: Hashable, Sendable, CustomStringConvertible {
    public let text: String

    public static let maximumLength = 99

    /// - Throws: `NameError`, whose text does not repeat the name.
    public init(_ text: String) throws(NameError) {
        let bytes = text.utf8
        guard !bytes.isEmpty else { throw NameError(reason: "is empty") }
        guard bytes.count <= Self.maximumLength else {
            throw NameError(reason: "has \(bytes.count) characters, more than \(Self.maximumLength)")
        }
        guard bytes.allSatisfy(Self.isAllowed) else {
            throw NameError(reason: "has a character other than ASCII letters, digits, \"-\", \"_\" and \".\"")
        }
        self.text = text
    }

    static func isAllowed(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
            true
        default: false
        }
    }

    public var description: String { text }
}

/// Why a group name is invalid.
public struct NameError: Error, Equatable, Sendable, CustomStringConvertible {
    public let reason: String
    public var description: String { "the group name \(reason)" }
}
