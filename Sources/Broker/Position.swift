/// A message's position in its group: `EPOCH.HISTORY:OFFSET`, opaque to users.
///
/// - epoch: random; new whenever the group's key in Redis is new.
/// - history: the server's replication history; new after each restart and promotion, so that two servers cannot give the
///   same position to two messages.
/// - offset: 1, 2, 3, … without holes. 0: before the first message.
public struct Position: Hashable, Sendable, CustomStringConvertible {
    public var epoch: HexDigits
    public var history: HexDigits
    public var offset: UInt64

    public init(epoch: HexDigits, history: HexDigits, offset: UInt64) {
        self.epoch = epoch
        self.history = history
        self.offset = offset
    }

    /// nil when the text is not a position. Epoch and history are limited to 16 hex digits each.
    public init?(_ text: some StringProtocol) {
        var text = String(text)
        guard let position = text.withUTF8({ Position(utf8: $0) }) else { return nil }
        self = position
    }

    /// Parses a position from bytes.
    public init?(utf8 bytes: UnsafeBufferPointer<UInt8>) {
        guard bytes.count <= 54, let dot = Self.index(of: UInt8(ascii: "."), in: bytes, from: 0),
            let colon = Self.index(of: UInt8(ascii: ":"), in: bytes, from: dot + 1),
            let epoch = HexDigits(utf8: bytes[..<dot]), let history = HexDigits(utf8: bytes[(dot + 1)..<colon]),
            colon + 1 < bytes.count
        else { return nil }
        var offset: UInt64 = 0
        for index in (colon + 1)..<bytes.count {
            let digit = bytes[index] &- UInt8(ascii: "0")
            let (tens, tooLarge) = offset.multipliedReportingOverflow(by: 10)
            let (sum, tooMuch) = tens.addingReportingOverflow(UInt64(digit))
            guard digit <= 9, !tooLarge, !tooMuch else { return nil }
            offset = sum
        }
        self.init(epoch: epoch, history: history, offset: offset)
    }

    private static func index(of byte: UInt8, in bytes: UnsafeBufferPointer<UInt8>, from start: Int) -> Int? {
        for index in start..<bytes.count where bytes[index] == byte { return index }
        return nil
    }

    /// The position before the first message, in whatever epoch comes first: that of a reader who was told that the group's
    /// key is gone. `group_read` answers it with everything sent since.
    public static let beginning = Position(epoch: "0", history: "0", offset: 0)

    /// Whether both positions belong to the same epoch and history, so that their offsets can be compared.
    public func isComparable(to other: Position) -> Bool { epoch == other.epoch && history == other.history }

    public var description: String { "\(epoch).\(history):\(offset)" }
}
