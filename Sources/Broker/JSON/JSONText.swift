public import NIOCore

/// JSON as bytes (RFC 8259): checked, cleaned and written, but never taken apart into values.
///
/// A message passes through a gateway as the text its sender wrote. Taking it apart and writing it again would change
/// numbers, the order of keys and the spelling of strings, and cost more than all the rest of its way.
public enum JSONText {
    /// How many objects and arrays may be open at once, the outermost included. Python's `json` gives up at about the
    /// same depth, its recursion limit.
    public static let maximumNesting = 1000

    /// The top-level entries that belong to the broker and not to the message.
    public struct ReservedEntries: OptionSet, Sendable {
        public let rawValue: UInt8

        public init(rawValue: UInt8) {
            self.rawValue = rawValue
        }

        /// `__tocsin__`: the message's position, which the broker puts in front of the other entries.
        public static var stamp: ReservedEntries { ReservedEntries(rawValue: 1) }
        /// `__asgi_channel__`: the names of the channels that a Django layer sent the message to.
        public static var channels: ReservedEntries { ReservedEntries(rawValue: 2) }
        /// `type`: the method of a Django consumer that the message calls, which no browser may choose.
        public static let type = ReservedEntries(rawValue: 4)
        /// What the broker itself puts into a message.
        public static var all: ReservedEntries { [.stamp, .channels] }

        /// The reserved entry that a key names. Bytes are compared as they are: a spelling with escapes is not
        /// recognised, because no writer of these entries uses one.
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

    /// How much of the text may be changed beyond the removal of entries.
    public enum Form: Sendable {
        /// Line breaks between tokens are dropped and Python's `NaN`, `Infinity` and `-Infinity` become `null`: the
        /// text is one line, fit for an SSE `data:` field, and JSON for every reader.
        case oneLine
        /// Every byte stays as it is.
        case original
    }

    /// Checks that a buffer holds one JSON object and nothing else but white space, and takes reserved entries out.
    ///
    /// The check is strict: grammar of RFC 8259, UTF-8 (RFC 3629) in strings, nesting up to ``maximumNesting``. Two
    /// freedoms are taken: a lone surrogate escape such as `\ud800` passes (section 8.2 leaves it open), and so do the
    /// three literals that Python's `json.dumps` writes for floats that JSON lacks. Keys may repeat.
    ///
    /// - Parameters:
    ///   - bytes: the text; its readable bytes are read.
    ///   - reserved: the entries to remove, each with one comma next to it. A stamp and channels are reported whether
    ///     or not they are removed.
    ///   - form: what else may be changed.
    /// - Returns: the object; its text shares the storage of `bytes` when nothing had to be changed.
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

/// A JSON object as checked text, and what the broker's own entries in it said.
public struct JSONObject: Sendable, Equatable {
    /// The object from `{` to `}`: the sender's bytes but for removed entries and what ``JSONText/Form`` allows.
    public var text: ByteBuffer
    /// The string between the quotation marks of the `__tocsin__` entry, escapes as they are. Only the broker puts
    /// that entry first, so it counts only when it is the first and a string; `nil` otherwise.
    public var stamp: ByteBuffer?
    /// Where in the readable bytes of the input the value of the `__asgi_channel__` entry is, of the last one if there
    /// are several (as Python reads them); `nil` when there is none.
    public var channels: Range<Int>?
    /// Whether a CR or LF stood between two tokens. The text holds them still in ``JSONText/Form/original`` and no
    /// more in ``JSONText/Form/oneLine``.
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
