public import NIOCore

/// Reading and writing the escapes of JSON strings (RFC 8259 section 7).
extension JSONText {
    /// Decodes the contents of a JSON string.
    ///
    /// - Parameter content: the bytes between the quotation marks of a validated string. Unreadable escapes are kept as they
    ///   are, and a lone surrogate becomes U+FFFD, so that any bytes give a text.
    public static func unescaped(_ content: ByteBuffer) -> String {
        unescaped(content.readableBytesUInt8Span, 0..<content.readableBytes)
    }

    /// As ``unescaped(_:)``, for the contents in `range`.
    package static func unescaped(_ bytes: Span<UInt8>, _ range: Range<Int>) -> String {
        let bytes = bytes.extracting(range)
        guard bytes.indices.contains(where: { bytes[$0] == UInt8(ascii: "\\") }) else {
            return bytes.withUnsafeBufferPointer { String(decoding: $0, as: UTF8.self) }
        }
        var text: [UInt8] = []
        text.reserveCapacity(bytes.count)
        var at = 0
        while at < bytes.count {
            if bytes[at] != UInt8(ascii: "\\") {
                text.append(bytes[at])
                at += 1
            } else if let (scalar, length) = readEscape(bytes, at: at) {
                text.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
                at += length
            } else {
                text.append(bytes[at])
                at += 1
            }
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// Reads the escape whose backslash is at `start`; `nil` when it is malformed.
    ///
    /// - Returns: the character, and the number of bytes read.
    private static func readEscape(_ bytes: Span<UInt8>, at start: Int) -> (Unicode.Scalar, length: Int)? {
        guard start + 1 < bytes.count else { return nil }
        switch bytes[start + 1] {
        case UInt8(ascii: "u"):
            guard let unit = readUnit(bytes, at: start) else { return nil }
            if let scalar = Unicode.Scalar(unit) { return (scalar, 6) }
            if unit < 0xDC00, let low = readUnit(bytes, at: start + 6), 0xDC00...0xDFFF ~= low,
                let scalar = Unicode.Scalar((unit - 0xD7C0) << 10 | (low & 0x3FF))
            {
                return (scalar, 12)
            }
            return ("\u{FFFD}", 6)
        case UInt8(ascii: "b"): return ("\u{8}", 2)
        case UInt8(ascii: "f"): return ("\u{C}", 2)
        case UInt8(ascii: "n"): return ("\n", 2)
        case UInt8(ascii: "r"): return ("\r", 2)
        case UInt8(ascii: "t"): return ("\t", 2)
        case let byte where byte < 0x80: return (Unicode.Scalar(byte), 2)
        default: return nil
        }
    }

    /// The UTF-16 code unit of the `\uXXXX` whose backslash is at `start`.
    private static func readUnit(_ bytes: Span<UInt8>, at start: Int) -> UInt32? {
        guard start + 6 <= bytes.count, bytes[start] == UInt8(ascii: "\\"), bytes[start + 1] == UInt8(ascii: "u")
        else { return nil }
        var unit: UInt32 = 0
        for at in start + 2..<start + 6 {
            guard let digit = hexValue(bytes[at]) else { return nil }
            unit = unit << 4 | digit
        }
        return unit
    }

    /// The value of a hex digit in either case.
    static func hexValue(_ digit: UInt8) -> UInt32? {
        switch digit {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(digit - UInt8(ascii: "0"))
        case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt32(digit - UInt8(ascii: "a") + 10)
        case UInt8(ascii: "A")...UInt8(ascii: "F"): UInt32(digit - UInt8(ascii: "A") + 10)
        default: nil
        }
    }

    /// Writes `"`, `\` or a control character as an escape, the short one if there is one.
    static func writeEscape(_ byte: UInt8, to writer: inout ByteWriter) {
        switch byte {
        case 0x22: writer.text("\\\"")
        case 0x5C: writer.text("\\\\")
        case 0x08: writer.text("\\b")
        case 0x09: writer.text("\\t")
        case 0x0A: writer.text("\\n")
        case 0x0C: writer.text("\\f")
        case 0x0D: writer.text("\\r")
        default: writeUnit(UInt32(byte), to: &writer)
        }
    }

    /// Writes a code point as one `\uXXXX`, or as a surrogate pair if it is outside the BMP.
    static func writeEscape(codePoint: UInt32, to writer: inout ByteWriter) {
        if codePoint < 0x10000 {
            writeUnit(codePoint, to: &writer)
        } else {
            writeUnit(0xD7C0 + (codePoint >> 10), to: &writer)
            writeUnit(0xDC00 | (codePoint & 0x3FF), to: &writer)
        }
    }

    private static func writeUnit(_ unit: UInt32, to writer: inout ByteWriter) {
        writer.text("\\u")
        for shift in stride(from: 12, through: 0, by: -4) {
            let digit = UInt8(truncatingIfNeeded: unit >> UInt32(shift) & 0xF)
            writer.byte(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10)
        }
    }

    /// The code point of a valid UTF-8 character of 2 to 4 bytes (RFC 3629 section 3).
    static func codePoint(_ bytes: Span<UInt8>, at start: Int, length: Int) -> UInt32 {
        var value = UInt32(bytes[start]) & (0x7F >> UInt32(length))
        for at in start + 1..<start + length {
            value = value << 6 | UInt32(bytes[at] & 0x3F)
        }
        return value
    }
}
