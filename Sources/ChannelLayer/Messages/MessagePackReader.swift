import Broker

/// Reads and validates msgpack values (github.com/msgpack/msgpack, spec.md), passing each to a sink.
///
/// Iterative, so that no message can exhaust the stack. Lengths are not trusted: each is checked against the rest of the
/// message before it is used. Methods take the bytes as a parameter because a `Span` cannot be stored in a property.
struct MessagePackReader {
    /// Offset of the next byte to read. Never beyond `end`.
    private(set) var at = 0
    let end: Int

    init(end: Int) {
        self.end = end
    }

    /// A map key: its bytes, and whether they are UTF-8 text, from a str or a bin.
    struct Key {
        var range: Range<Int>
        var isText: Bool
    }

    /// Reads the header of the outermost map, and returns its number of entries.
    mutating func outermostMap(_ bytes: Span<UInt8>) throws(MessageError) -> Int {
        guard !bytes.isEmpty, let count = try self.mapHeader(bytes) else {
            throw MessageError(offset: 0, reason: .notAMap)
        }
        return count
    }

    /// Checks that the message ends where its map does.
    func finish() throws(MessageError) {
        guard self.at == self.end else { throw MessageError(offset: self.at, reason: .trailing) }
    }

    /// Reads a map key, which must be a str or a bin, as for Django.
    mutating func key(_ bytes: Span<UInt8>) throws(MessageError) -> Key {
        let start = self.at
        if let text = try self.string(bytes) {
            if let bad = ByteScan.firstInvalid(bytes, text) { throw MessageError(offset: bad, reason: .badUTF8) }
            return Key(range: text, isText: true)
        }
        let tag = try self.byte(bytes)
        guard 0xC4...0xC6 ~= tag else { throw MessageError(offset: start, reason: .key) }
        let range = try self.run(self.bigEndian(bytes, width: 1 << Int(tag - 0xC4)))
        return Key(range: range, isText: ByteScan.firstInvalid(bytes, range) == nil)
    }

    /// Reads a str and returns where its bytes are; reads nothing and returns `nil` if another type is next.
    mutating func string(_ bytes: Span<UInt8>) throws(MessageError) -> Range<Int>? {
        guard self.at < self.end else { throw self.truncated }
        let tag = bytes[self.at]
        switch tag {
        case 0xA0...0xBF:
            self.at += 1
            return try self.run(UInt64(tag & 0x1F))
        case 0xD9...0xDB:
            self.at += 1
            return try self.run(self.bigEndian(bytes, width: 1 << Int(tag - 0xD9)))
        default:
            return nil
        }
    }

    /// Reads a map's number of entries; reads nothing and returns `nil` if another type is next.
    mutating func mapHeader(_ bytes: Span<UInt8>) throws(MessageError) -> Int? {
        guard self.at < self.end else { throw self.truncated }
        let tag = bytes[self.at]
        switch tag {
        case 0x80...0x8F:
            self.at += 1
            return try self.count(UInt64(tag & 0x0F), valuesEach: 2)
        case 0xDE, 0xDF:
            self.at += 1
            return try self.count(self.bigEndian(bytes, width: tag == 0xDE ? 2 : 4), valuesEach: 2)
        default:
            return nil
        }
    }

    /// Reads an array's number of elements; reads nothing and returns `nil` if another type is next.
    mutating func arrayHeader(_ bytes: Span<UInt8>) throws(MessageError) -> Int? {
        guard self.at < self.end else { throw self.truncated }
        let tag = bytes[self.at]
        switch tag {
        case 0x90...0x9F:
            self.at += 1
            return try self.count(UInt64(tag & 0x0F), valuesEach: 1)
        case 0xDC, 0xDD:
            self.at += 1
            return try self.count(self.bigEndian(bytes, width: tag == 0xDC ? 2 : 4), valuesEach: 1)
        default:
            return nil
        }
    }

    mutating func byte(_ bytes: Span<UInt8>) throws(MessageError) -> UInt8 {
        guard self.at < self.end else { throw self.truncated }
        defer { self.at += 1 }
        return bytes[self.at]
    }

    /// Reads a big-endian unsigned number of 1, 2, 4 or 8 bytes.
    mutating func bigEndian(_ bytes: Span<UInt8>, width: Int) throws(MessageError) -> UInt64 {
        guard self.end - self.at >= width else { throw self.truncated }
        var value: UInt64 = 0
        for offset in self.at..<self.at + width {
            value = value << 8 | UInt64(bytes[offset])
        }
        self.at += width
        return value
    }

    /// Skips `length` bytes, and returns where they are.
    mutating func run(_ length: UInt64) throws(MessageError) -> Range<Int> {
        guard length <= UInt64(self.end - self.at) else { throw self.truncated }
        let start = self.at
        self.at += Int(length)
        return start..<self.at
    }

    /// Checks a claimed number of elements against the remaining bytes: each takes at least one.
    private func count(_ count: UInt64, valuesEach: UInt64) throws(MessageError) -> Int {
        guard count * valuesEach <= UInt64(self.end - self.at) else { throw self.truncated }
        return Int(count)
    }

    var truncated: MessageError {
        MessageError(offset: self.at, reason: .truncated)
    }
}
