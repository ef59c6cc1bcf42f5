import Broker
public import NIOCore

/// msgpack maps as channels_redis writes them, turned into JSON.
public enum MessagePack {
    /// How many maps and arrays may be open at once, the outermost map included.
    public static let maximumNesting = JSONText.maximumNesting

    /// The longest message in bytes: 512 MiB, Redis' limit for a string. The JSON of a message of that size can still
    /// be held by a `ByteBuffer`: a byte becomes six at most.
    public static let maximumBytes = 1 << 29

    /// Turns a msgpack map into a JSON object, exactly and in one pass.
    ///
    /// | msgpack | JSON |
    /// |---|---|
    /// | nil, bool | `null`, `true`, `false` |
    /// | integers | all their digits, up to 18446744073709551615 |
    /// | float 32, float 64 | as Python's `json.dumps`: `12.5`, `12.0`, `1e+16`; NaN and the infinities as `null` |
    /// | str | a string; non-ASCII stays as it is |
    /// | bin | a string of Base64, padded |
    /// | array, map | the same, without white space, keys in their order, repeated ones too |
    ///
    /// A bin as a map key is a string if it is UTF-8 and Base64 if it is not; Django refuses all other keys but str
    /// (`strict_map_key`), and so does this.
    ///
    /// The top-level entries `__tocsin__` and `__asgi_channel__` do not go into the JSON. The stamp counts only when it is
    /// the first entry and a str.
    ///
    /// - Throws: ``MessageError``, with an offset into the readable bytes.
    public static func jsonObject(_ bytes: ByteBuffer) throws(MessageError) -> DecodedMessage {
        let span = bytes.readableBytesUInt8Span
        guard span.count <= Self.maximumBytes else { throw MessageError(offset: 0, reason: .tooLarge) }
        var json = ByteBuffer()
        var reserved = ReservedValues()
        // Text takes a little more room than msgpack, numbers take twice as much.
        try json.writeText(expecting: span.count + span.count / 2 + 16) { (writer) throws(MessageError) in
            var sink = JSONSink(writer: writer)
            reserved = try self.convert(span, into: &sink)
            writer = sink.writer
        }
        let stamp = reserved.stamp.flatMap {
            bytes.getSlice(at: bytes.readerIndex + $0.lowerBound, length: $0.count)
        }
        return DecodedMessage(json: json, stamp: stamp)
    }

    /// Where the stamp's bytes are if the first entry is one, whatever follows.
    static func stamp(_ bytes: Span<UInt8>) throws(MessageError) -> Range<Int>? {
        var reader = MessagePackReader(end: bytes.count)
        guard try reader.outermostMap(bytes) > 0 else { return nil }
        let key = try reader.key(bytes)
        guard JSONText.ReservedEntries.named(bytes, key.range) == .stamp else { return nil }
        return try reader.string(bytes)
    }

    /// Walks over the whole message.
    private static func convert(
        _ bytes: Span<UInt8>,
        into sink: inout JSONSink
    ) throws(MessageError) -> ReservedValues {
        var reader = MessagePackReader(end: bytes.count)
        let count = try reader.outermostMap(bytes)
        var reserved = ReservedValues()
        var isFirstKept = true
        sink.structure(UInt8(ascii: "{"))
        for index in 0..<count {
            let key = try reader.key(bytes)
            if try reserved.take(key, isFirst: index == 0, from: &reader, bytes) { continue }
            if !isFirstKept { sink.structure(UInt8(ascii: ",")) }
            isFirstKept = false
            MessagePackReader.write(key, bytes, into: &sink)
            try reader.value(bytes, into: &sink)
        }
        try reader.finish()
        sink.structure(UInt8(ascii: "}"))
        return reserved
    }
}
