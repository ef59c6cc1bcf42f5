extension JSONScanner {
    /// Scans a string (RFC 8259 section 7). Returns the range of its contents, without the quotation marks.
    mutating func string(_ bytes: Span<UInt8>) throws(JSONError) -> Range<Int> {
        self.at += 1
        let start = self.at
        while true {
            self.at = ByteScan.unescapedEnd(bytes, from: self.at, to: self.end)
            switch try self.peek(bytes) {
            case UInt8(ascii: "\""):
                self.at += 1
                return start..<self.at - 1
            case UInt8(ascii: "\\"):
                try self.escape(bytes)
            case 0x80...:
                throw self.error(.badUTF8)
            default:
                throw self.error(.badString)
            }
        }
    }

    private mutating func escape(_ bytes: Span<UInt8>) throws(JSONError) {
        self.at += 1
        switch try self.peek(bytes) {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
            UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
            self.at += 1
        case UInt8(ascii: "u"):
            self.at += 1
            for _ in 0..<4 {
                guard JSONText.hexValue(try self.peek(bytes)) != nil else { throw self.error(.badString) }
                self.at += 1
            }
        default:
            throw self.error(.badString)
        }
    }

    /// Scans a number (RFC 8259 section 6), or Python's `-Infinity`.
    mutating func number(_ bytes: Span<UInt8>) throws(JSONError) {
        if bytes[self.at] == UInt8(ascii: "-") {
            let sign = self.at
            self.at += 1
            if try self.peek(bytes) == UInt8(ascii: "I") {
                self.at = sign
                return try self.notANumber(bytes, "-Infinity")
            }
        }
        if try self.peek(bytes) == UInt8(ascii: "0") {
            self.at += 1
            guard !Self.isDigit(try self.peek(bytes)) else { throw self.error(.badNumber) }
        } else {
            try self.digits(bytes)
        }
        if try self.peek(bytes) == UInt8(ascii: ".") {
            self.at += 1
            try self.digits(bytes)
        }
        // 0x20 is the bit that makes an ASCII letter lowercase.
        if try self.peek(bytes) | 0x20 == UInt8(ascii: "e") {
            self.at += 1
            let sign = try self.peek(bytes)
            if sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-") {
                self.at += 1
            }
            try self.digits(bytes)
        }
    }

    /// Scans one or more digits.
    private mutating func digits(_ bytes: Span<UInt8>) throws(JSONError) {
        guard Self.isDigit(try self.peek(bytes)) else { throw self.error(.badNumber) }
        repeat {
            self.at += 1
        } while self.at < self.end && Self.isDigit(bytes[self.at])
    }

    @inline(__always)
    private static func isDigit(_ byte: UInt8) -> Bool {
        byte &- 0x30 < 10
    }
}
