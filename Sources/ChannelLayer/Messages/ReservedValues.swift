import Broker

/// What the broker's and the layer's entries of a msgpack map say.
struct ReservedValues {
    /// Where the bytes of the stamp are.
    private(set) var stamp: Range<Int>?
    private(set) var channels: [String] = []

    /// Reads the value of a reserved entry.
    ///
    /// - Parameters:
    ///   - key: the entry's key, which `reader` has just read.
    ///   - isFirst: whether it is the map's first entry, as the broker's own stamp is.
    /// - Returns: whether the entry is a reserved one; if not, its value is still to be read.
    mutating func take(
        _ key: MessagePackReader.Key,
        isFirst: Bool,
        from reader: inout MessagePackReader,
        _ bytes: Span<UInt8>
    ) throws(MessageError) -> Bool {
        switch JSONText.ReservedEntries.named(bytes, key.range) {
        case .stamp:
            var value = reader
            var sink = CheckingSink()
            try reader.value(bytes, into: &sink)
            if isFirst {
                self.stamp = try value.string(bytes)
            }
            return true
        case .channels:
            self.channels = try Self.channelNames(bytes, from: &reader)
            return true
        default:
            return false
        }
    }

    /// Reads one name or an array of names.
    private static func channelNames(
        _ bytes: Span<UInt8>,
        from reader: inout MessagePackReader
    ) throws(MessageError) -> [String] {
        guard let count = try reader.arrayHeader(bytes) else {
            return [try self.name(bytes, from: &reader)]
        }
        var names: [String] = []
        for _ in 0..<count {
            names.append(try self.name(bytes, from: &reader))
        }
        return names
    }

    private static func name(
        _ bytes: Span<UInt8>,
        from reader: inout MessagePackReader
    ) throws(MessageError) -> String {
        let start = reader.at
        guard let range = try reader.string(bytes) else { throw MessageError(offset: start, reason: .channels) }
        if let bad = ByteScan.firstInvalid(bytes, range) { throw MessageError(offset: bad, reason: .badUTF8) }
        return bytes.extracting(range).withUnsafeBufferPointer { String(decoding: $0, as: UTF8.self) }
    }
}
