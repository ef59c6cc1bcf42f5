/// Where a message stands in its group: `EPOCH.HISTORY:OFFSET`, opaque to users.
///
/// - epoch: random; new when the group's key in Redis is new.
/// - history: of the server's replication; new after each restart and promotion, so that two servers cannot give one
///   position to two messages.
/// - offset: 1, 2, 3, … without holes. 0: before the first message.
public struct Position: Hashable, Sendable, CustomStringConvertible {
    public var epoch: String
    public var history: String
    public var offset: UInt64

    public init(epoch: String, history: String, offset: UInt64) {
        self.epoch = epoch
        self.history = history
        self.offset = offset
    }

    /// nil when the text is no position. Bounded: an epoch and a history have at most 40 hex digits each.
    public init?(_ text: some StringProtocol) {
        guard text.utf8.count <= 110,
            let dot = text.firstIndex(of: "."),
            let colon = text[dot...].firstIndex(of: ":"),
            text[text.index(after: colon)...].utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }),
            let offset = UInt64(text[text.index(after: colon)...])
        else { return nil }
        let epoch = text[..<dot]
        let history = text[text.index(after: dot)..<colon]
        guard Self.isHex(epoch), Self.isHex(history) else { return nil }
        self.init(epoch: String(epoch), history: String(history), offset: offset)
    }

    private static func isHex(_ text: some StringProtocol) -> Bool {
        (1...40).contains(text.utf8.count)
            && text.utf8.allSatisfy { byte in
                (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
                    || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
            }
    }

    /// Before anything was ever sent, whatever epoch will be the first: what a reader has who was told that the group's key
    /// is gone. `group_read` answers with everything that has come since.
    public static let beginning = Position(epoch: "0", history: "0", offset: 0)

    /// Whether the two count in the same sequence, so that their offsets can be compared.
    public func isComparable(to other: Position) -> Bool { epoch == other.epoch && history == other.history }

    public var description: String { "\(epoch).\(history):\(offset)" }
}
