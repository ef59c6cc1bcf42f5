import Broker

/// Collects the entries of a msgpack map that belong to the broker and the layer.
struct ReservedValues {
    /// Where the stamp's bytes are.
    private(set) var stamp: Range<Int>?
    /// A reader before the value of the last channels entry. Parsed on demand, because only the relay needs it.
    private var channels: MessagePackReader?

    /// Skips the value of a reserved entry.
    ///
    /// - Parameters:
    ///   - key: the entry's key, which `reader` has just read.
    ///   - isFirst: whether it is the map's first entry, as the broker's own stamp is.
    /// - Returns: whether the entry is reserved; if not, its value has not been read.
    mutating func take(
        _ key: MessagePackReader.Key,
        isFirst: Bool,
        from reader: inout MessagePackReader,
        _ bytes: Span<UInt8>
    ) throws(MessageError) -> Bool {
        let name = JSONText.ReservedEntries.named(bytes, key.range)
        guard JSONText.ReservedEntries.all.contains(name), !name.isEmpty else { return false }
        var value = reader
        var sink = CheckingSink()
        try reader.value(bytes, into: &sink)
        if name == .channels {
            self.channels = value
        } else if isFirst {
            self.stamp = try value.string(bytes)
        }
        return true
    }

    /// The channel names, from a single name or an array; empty without such an entry.
    ///
    /// - Throws: ``MessageError`` with `channels` when the last such entry holds something else.
    func channelNames(_ bytes: Span<UInt8>) throws(MessageError) -> [String] {
        guard var reader = self.channels else { return [] }
        guard let count = try reader.arrayHeader(bytes) else {
            return [try Self.name(bytes, from: &reader)]
        }
        var names: [String] = []
        for _ in 0..<count {
            names.append(try Self.name(bytes, from: &reader))
        }
        return names
    }

    private static func name(
        _ bytes: Span<UInt8>,
        from reader: inout MessagePackReader
    ) throws(MessageError) -> String {
        let start = reader.at
        guard let range = try reader.string(bytes) else { throw MessageError(offset: start, reason: .channels) }
        return bytes.extracting(range).withUnsafeBufferPointer { String(decoding: $0, as: UTF8.self) }
    }
}
