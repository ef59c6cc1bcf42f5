import Broker
public import NIOCore

/// Converts msgpack maps, as written by channels_redis, to JSON.
public enum MessagePack {
    /// Maximum nesting of maps and arrays, including the outermost map.
    public static let maximumNesting = JSONText.maximumNesting

    /// Maximum length of a message in bytes: 512 MiB, Redis' limit for a string. Its JSON still fits into a `ByteBuffer`,
    /// because a byte becomes six at most.
    public static let maximumBytes = 1 << 29

    /// Converts a msgpack map to a JSON object, exactly and in one pass.
    ///
    /// | msgpack | JSON |
    /// |---|---|
    /// | nil, bool | `null`, `true`, `false` |
    /// | integers | all digits, up to 18446744073709551615 |
    /// | float 32, float 64 | as Python's `json.dumps`: `12.5`, `12.0`, `1e+16`; NaN and infinities as `null` |
    /// | str | a string; non-ASCII is kept |
    /// | bin | a string of padded Base64 |
    /// | array, map | the same, without white space; keys keep their order, repeated ones are kept |
    ///
    /// A bin as a map key is written as a string if it is UTF-8, otherwise in Base64. Other keys than str and bin are refused,
    /// as by Django (`strict_map_key`).
    ///
    /// The top-level entries `__tocsin__` and `__asgi_channel__` are left out of the JSON. The stamp is recognised only as the
    /// first entry, and only if it is a str.
    ///
    /// - Throws: ``MessageError``, with an offset into the readable bytes.
    public static func jsonObject(_ bytes: ByteBuffer) throws(MessageError) -> DecodedMessage {
        let span = bytes.readableBytesUInt8Span
        guard span.count <= Self.maximumBytes else { throw MessageError(offset: 0, reason: .tooLarge) }
        var json = ByteBuffer()
        var reserved = ReservedValues()
        // Strings take a little more room than in msgpack, numbers twice as much.
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

    /// Where the stamp's bytes are, if the first entry is a stamp; the rest is not validated.
    static func stamp(_ bytes: Span<UInt8>) throws(MessageError) -> Range<Int>? {
        var reader = MessagePackReader(end: bytes.count)
        guard try reader.outermostMap(bytes) > 0 else { return nil }
        let key = try reader.key(bytes)
        guard JSONText.ReservedEntries.named(bytes, key.range) == .stamp else { return nil }
        return try reader.string(bytes)
    }

    /// Converts the whole message.
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
