public import NIOCore

/// The entries of one JSON object with their values as unparsed text. Used for commands, where only a few fields are
/// needed and the payload must stay unchanged.
///
/// Of several entries with the same key the last one is used, as in JavaScript and Python. Keys may contain escapes.
public struct JSONFields: Sendable {
    private let values: [String: ByteBuffer]

    /// - Throws: `JSONError` when the bytes are not one JSON object.
    public init(_ object: ByteBuffer) throws(JSONError) {
        // Validates the whole text and returns it from brace to brace.
        let text = try JSONText.object(object, removing: [], form: .original).text
        let bytes = text.readableBytesUInt8Span
        var scanner = JSONScanner(from: 1, to: bytes.count, form: .original)
        var values: [String: ByteBuffer] = [:]
        scanner.skipSpace(bytes)
        while try scanner.peek(bytes) != UInt8(ascii: "}") {
            let key = JSONText.unescaped(bytes, try scanner.key(bytes))
            let start = scanner.at
            try scanner.value(bytes)
            values[key] = text.getSlice(at: text.readerIndex + start, length: scanner.at - start)
            scanner.skipSpace(bytes)
            if try scanner.peek(bytes) == UInt8(ascii: ",") {
                scanner.at += 1
                scanner.skipSpace(bytes)
            }
        }
        self.values = values
    }

    /// The value's text; nil when it is missing or `null`.
    public func raw(_ key: String) -> ByteBuffer? {
        guard let value = values[key], !value.readableBytesView.elementsEqual("null".utf8) else { return nil }
        return value
    }

    public var keys: Dictionary<String, ByteBuffer>.Keys { values.keys }

    /// nil when missing, `null` or not a string.
    public func string(_ key: String) -> String? {
        guard var value = raw(key), value.readInteger(as: UInt8.self) == UInt8(ascii: "\""),
            let content = value.readSlice(length: value.readableBytes - 1)
        else { return nil }
        return JSONText.unescaped(content)
    }

    /// nil when missing, or not an integer in range.
    public func integer(_ key: String) -> Int64? { raw(key).flatMap { Int64(String(buffer: $0)) } }
    public func unsigned(_ key: String) -> UInt64? { raw(key).flatMap { UInt64(String(buffer: $0)) } }
    /// A number as written; nil when missing or not a number.
    public func number(_ key: String) -> String? {
        guard let value = raw(key), let first = value.readableBytesView.first,
            first == UInt8(ascii: "-") || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first)
        else { return nil }
        return String(buffer: value)
    }

    public func flag(_ key: String) -> Bool { raw(key)?.readableBytesView.elementsEqual("true".utf8) ?? false }

    /// nil when missing or not an object.
    public func object(_ key: String) -> JSONFields? { raw(key).flatMap { try? JSONFields($0) } }
}
