import Broker

/// Base64 with the standard alphabet and padding (RFC 4648 section 4).
enum Base64 {
    /// Writes the bytes in Base64, without quotation marks.
    static func write(_ bytes: Span<UInt8>, to writer: inout ByteWriter) {
        var at = 0
        while bytes.count - at >= 3 {
            let (first, second, third) = (bytes[at], bytes[at + 1], bytes[at + 2])
            writer.byte(self.digit(first >> 2))
            writer.byte(self.digit(first << 4 | second >> 4))
            writer.byte(self.digit(second << 2 | third >> 6))
            writer.byte(self.digit(third))
            at += 3
        }
        let left = bytes.count - at
        guard left > 0 else { return }
        let second = left == 2 ? bytes[at + 1] : 0
        writer.byte(self.digit(bytes[at] >> 2))
        writer.byte(self.digit(bytes[at] << 4 | second >> 4))
        writer.byte(left == 2 ? self.digit(second << 2) : self.padding)
        writer.byte(self.padding)
    }

    private static let padding = UInt8(ascii: "=")

    /// The Base64 character for the lower six bits of a number.
    @inline(__always)
    private static func digit(_ bits: UInt8) -> UInt8 {
        switch bits & 0x3F {
        case let value where value < 26: UInt8(ascii: "A") + value
        case let value where value < 52: UInt8(ascii: "a") + value - 26
        case let value where value < 62: UInt8(ascii: "0") + value - 52
        case 62: UInt8(ascii: "+")
        default: UInt8(ascii: "/")
        }
    }
}
