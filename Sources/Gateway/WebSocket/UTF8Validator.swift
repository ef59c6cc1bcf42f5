/// Validates UTF-8 incrementally, across fragments: RFC 6455 section 8.1 allows failing as soon as a byte cannot be part of
/// any valid text (Unicode 15, table 3-7).
struct UTF8Validator {
    private var missing: UInt8 = 0
    private var lowest: UInt8 = 0x80
    private var highest: UInt8 = 0xBF

    /// True between characters, where text may end.
    var isAtBoundary: Bool { missing == 0 }

    /// Returns false as soon as the bytes so far cannot begin valid UTF-8.
    mutating func consume(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var index = 0
        while index < bytes.count {
            if missing == 0 {
                // ASCII, eight bytes at a time.
                while index + 8 <= bytes.count,
                    bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self) & 0x8080_8080_8080_8080 == 0
                {
                    index += 8
                }
                guard index < bytes.count else { break }
                guard begin(bytes[index]) else { return false }
            } else {
                let byte = bytes[index]
                guard byte >= lowest && byte <= highest else { return false }
                missing -= 1
                lowest = 0x80
                highest = 0xBF
            }
            index += 1
        }
        return true
    }

    private mutating func begin(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x00...0x7F: break
        case 0xC2...0xDF: missing = 1
        case 0xE0: (missing, lowest) = (2, 0xA0)  // no overlong forms
        case 0xED: (missing, highest) = (2, 0x9F)  // no surrogates
        case 0xE1...0xEF: missing = 2
        case 0xF0: (missing, lowest) = (3, 0x90)
        case 0xF4: (missing, highest) = (3, 0x8F)  // nothing above U+10FFFF
        case 0xF1...0xF3: missing = 3
        default: return false
        }
        return true
    }
}
