public import NIOCore

extension JSONText {
    /// Appends a JSON string with its quotation marks. Escapes only what RFC 8259 section 7 requires: `"`, `\` and the
    /// characters below 0x20; everything else, including non-ASCII, is written as is.
    ///
    /// - Parameter utf8: valid UTF-8. Each invalid byte becomes U+FFFD, so that the result is always JSON.
    @inlinable
    public static func appendString(_ utf8: some Sequence<UInt8>, to output: inout ByteBuffer) {
        if utf8.withContiguousStorageIfAvailable({ appendString($0.span, to: &output) }) == nil {
            appendString(Array(utf8).span, to: &output)
        }
    }

    /// Appends a JSON string exactly as Python's `json.dumps` writes a `str` by default (`ensure_ascii=True`): non-ASCII as
    /// `\uXXXX` in lowercase hex, as a surrogate pair outside the BMP. 0x7F counts as non-ASCII there and is escaped.
    ///
    /// - Parameter utf8: valid UTF-8. Each invalid byte becomes `\ufffd`.
    @inlinable
    public static func appendPythonString(_ utf8: some Sequence<UInt8>, to output: inout ByteBuffer) {
        if utf8.withContiguousStorageIfAvailable({ appendPythonString($0.span, to: &output) }) == nil {
            appendPythonString(Array(utf8).span, to: &output)
        }
    }

    /// As ``appendString(_:to:)`` for a sequence.
    public static func appendString(_ utf8: Span<UInt8>, to output: inout ByteBuffer) {
        output.writeText(expecting: utf8.count + utf8.count / 8 + 2) { writer in
            _ = writeString(utf8, 0..<utf8.count, to: &writer)
        }
    }

    /// As ``appendPythonString(_:to:)`` for a sequence.
    public static func appendPythonString(_ utf8: Span<UInt8>, to output: inout ByteBuffer) {
        output.writeText(expecting: utf8.count + utf8.count / 8 + 2) { writer in
            writePythonString(utf8, to: &writer)
        }
    }

    /// Writes the bytes in `range` as a JSON string and reports the first that is not UTF-8, so that callers need no second
    /// pass to validate them.
    ///
    /// - Returns: the offset of the first byte that is not UTF-8 and was replaced; `nil` when there is none.
    package static func writeString(_ utf8: Span<UInt8>, _ range: Range<Int>, to writer: inout ByteWriter) -> Int? {
        var firstBad: Int?
        writer.byte(UInt8(ascii: "\""))
        // Bytes from `pending` to `at` need no change and are copied in one piece.
        var pending = range.lowerBound
        var at = range.lowerBound
        while true {
            at = ByteScan.unescapedEnd(utf8, from: at, to: range.upperBound)
            guard at < range.upperBound else { break }
            writer.bytes(utf8, pending..<at)
            if utf8[at] < 0x80 {
                writeEscape(utf8[at], to: &writer)
            } else {
                firstBad = firstBad ?? at
                writer.text("\u{FFFD}")
            }
            at += 1
            pending = at
        }
        writer.bytes(utf8, pending..<range.upperBound)
        writer.byte(UInt8(ascii: "\""))
        return firstBad
    }

    private static func writePythonString(_ utf8: Span<UInt8>, to writer: inout ByteWriter) {
        writer.byte(UInt8(ascii: "\""))
        var at = 0
        while true {
            let plain = ByteScan.plainEnd(utf8, from: at, to: utf8.count)
            var end = at
            while end < plain, utf8[end] != 0x7F { end += 1 }
            writer.bytes(utf8, at..<end)
            at = end
            guard at < utf8.count else { break }
            if utf8[at] == 0x7F {
                writeEscape(codePoint: 0x7F, to: &writer)
                at += 1
            } else if utf8[at] < 0x80 {
                writeEscape(utf8[at], to: &writer)
                at += 1
            } else {
                let length = ByteScan.characterLength(utf8, at: at, to: utf8.count)
                writeEscape(codePoint: length == 0 ? 0xFFFD : codePoint(utf8, at: at, length: length), to: &writer)
                at += max(length, 1)
            }
        }
        writer.byte(UInt8(ascii: "\""))
    }
}
