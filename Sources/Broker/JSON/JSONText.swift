public import NIOCore

/// JSON as bytes (RFC 8259): validated, cleaned and written, but never parsed into values.
///
/// Messages pass through a gateway as their sender wrote them. Parsing and re-encoding would change numbers, key order and
/// the spelling of strings, and cost more than all other processing.
public enum JSONText {
    /// Maximum nesting of objects and arrays, including the outermost. Python's `json` gives up at about the same depth, its
    /// recursion limit.
    public static let maximumNesting = 1000

    /// Top-level entries that belong to the broker rather than the message.
    public struct ReservedEntries: OptionSet, Sendable {
        public let rawValue: UInt8

        public init(rawValue: UInt8) {
            self.rawValue = rawValue
        }

        /// `__tocsin__`: the message's position, which the broker puts before the other entries.
        public static var stamp: ReservedEntries { ReservedEntries(rawValue: 1) }
        /// `__asgi_channel__`: names of the channels that a Django layer sent the message to.
        public static var channels: ReservedEntries { ReservedEntries(rawValue: 2) }
        /// `type`: the method of a Django consumer that the message calls; browsers must not choose it.
        public static let type = ReservedEntries(rawValue: 4)
        /// The entries that the broker itself adds to a message.
        public static var all: ReservedEntries { [.stamp, .channels] }

        /// The reserved entry that a key names. Compared byte by byte: a key with escapes is not recognised, because no writer of
        /// these entries uses any.
        package static func named(_ bytes: Span<UInt8>, _ key: Range<Int>) -> ReservedEntries {
            if matches(bytes, key, "__tocsin__") { return .stamp }
            if matches(bytes, key, "__asgi_channel__") { return .channels }
            if matches(bytes, key, "type") { return .type }
            return []
        }

        private static func matches(_ bytes: Span<UInt8>, _ key: Range<Int>, _ name: StaticString) -> Bool {
            guard key.count == name.utf8CodeUnitCount else { return false }
            return name.withUTF8Buffer { name in
                var at = key.lowerBound
                for byte in name {
                    guard bytes[at] == byte else { return false }
                    at += 1
                }
                return true
            }
        }
    }

    /// How much of the text may be changed besides removing entries.
    public enum Form: Sendable {
        /// Line breaks between tokens are dropped, and Python's `NaN`, `Infinity` and `-Infinity` become `null`: the text is a
        /// single line, fit for an SSE `data:` field, and valid JSON for every reader.
        case oneLine
        /// Every byte stays as it is.
        case original
    }

    /// Checks that a buffer holds one JSON object, surrounded by nothing but white space, and removes reserved entries.
    ///
    /// The check is strict: the grammar of RFC 8259, UTF-8 (RFC 3629) in strings, nesting up to ``maximumNesting``. There are
    /// two exceptions: a lone surrogate escape such as `\ud800` is accepted (section 8.2 leaves it open), and so are the three
    /// literals that Python's `json.dumps` writes for floats that JSON lacks. Keys may repeat.
    ///
    /// - Parameters:
    ///   - bytes: the text, as the buffer's readable bytes.
    ///   - reserved: the entries to remove, each with one adjacent comma. A stamp and channels are reported whether or not
    ///     they are removed.
    ///   - form: what else may be changed.
    /// - Returns: the object; its text shares the storage of `bytes` if nothing had to be changed.
    /// - Throws: ``JSONError``, with an offset into the readable bytes.
    public static func object(
        _ bytes: ByteBuffer,
        removing reserved: ReservedEntries = .all,
        form: Form = .oneLine
    ) throws(JSONError) -> JSONObject {
        let span = bytes.readableBytesUInt8Span
        var reader = JSONObjectScanner(span, removing: reserved, form: form)
        let end = try reader.object(span)
        let stamp = reader.stamp.flatMap {
            bytes.getSlice(at: bytes.readerIndex + $0.lowerBound, length: $0.count)
        }
        let channels = reader.channels
        let hadLineBreaks = reader.scanner.hadLineBreaks
        let text = reader.scanner.splice.finish(at: end, of: bytes)
        return JSONObject(text: text, stamp: stamp, channels: channels, hadLineBreaks: hadLineBreaks)
    }
}

/// A JSON object as validated text, with the values of the broker's own entries.
public struct JSONObject: Sendable, Equatable {
    /// The object from `{` to `}`: the sender's bytes, except for removed entries and what ``JSONText/Form`` allows.
    public var text: ByteBuffer
    /// The contents of the `__tocsin__` string, with escapes undecoded. Only the broker puts that entry first, so it is `nil`
    /// unless the entry is the first and a string.
    public var stamp: ByteBuffer?
    /// Where the value of the `__asgi_channel__` entry is in the input's readable bytes; of several entries the last, as
    /// Python reads them; `nil` when there is none.
    public var channels: Range<Int>?
    /// Whether there was a CR or LF between two tokens. The text still contains them in ``JSONText/Form/original``, but not
    /// in ``JSONText/Form/oneLine``.
    public var hadLineBreaks: Bool

    public init(
        text: ByteBuffer,
        stamp: ByteBuffer? = nil,
        channels: Range<Int>? = nil,
        hadLineBreaks: Bool = false
    ) {
        self.text = text
        self.stamp = stamp
        self.channels = channels
        self.hadLineBreaks = hadLineBreaks
    }
}
