/// Scans UTF-8 bytes: where plain ASCII ends, and how long a character is.
///
/// Shared by JSON's reader and writers, so that what one accepts the other writes.
package enum ByteScan {
    /// The first offset in `start..<end` with a byte that needs attention inside a JSON string: a quotation mark, a backslash,
    /// a control character below 0x20, or any byte of a non-ASCII character. `end` when there is none.
    ///
    /// Examines eight bytes at a time. 0x7F is plain: RFC 8259 section 7 does not require escaping it.
    package static func plainEnd(_ bytes: Span<UInt8>, from start: Int, to end: Int) -> Int {
        var at = start
        let raw = bytes.bytes
        while end - at >= 8 {
            let word = UInt64(littleEndian: raw.unsafeLoadUnaligned(fromByteOffset: at, as: UInt64.self))
            let special = specialBytes(word)
            if special != 0 {
                return at + special.trailingZeroBitCount / 8
            }
            at += 8
        }
        while at < end, isPlain(bytes[at]) {
            at += 1
        }
        return at
    }

    /// Whether a byte may appear unescaped in a JSON string. False for non-ASCII bytes.
    @inline(__always)
    package static func isPlain(_ byte: UInt8) -> Bool {
        byte >= 0x20 && byte < 0x80 && byte != 0x22 && byte != 0x5C
    }

    /// The length of the UTF-8 character that starts at `start`, 1 to 4 bytes; 0 when it is invalid or ends after `end`.
    ///
    /// Rejects overlong forms, surrogates and everything above U+10FFFF (RFC 3629 section 4).
    package static func characterLength(_ bytes: Span<UInt8>, at start: Int, to end: Int) -> Int {
        guard start < end else { return 0 }
        let first = bytes[start]
        let available = end - start
        switch first {
        case 0x00...0x7F:
            return 1
        case 0xC2...0xDF:
            return available >= 2 && isContinuation(bytes[start + 1]) ? 2 : 0
        case 0xE0...0xEF:
            guard available >= 3, isContinuation(bytes[start + 1]), isContinuation(bytes[start + 2]) else { return 0 }
            if first == 0xE0, bytes[start + 1] < 0xA0 { return 0 }
            if first == 0xED, bytes[start + 1] > 0x9F { return 0 }
            return 3
        case 0xF0...0xF4:
            guard available >= 4, isContinuation(bytes[start + 1]), isContinuation(bytes[start + 2]),
                isContinuation(bytes[start + 3])
            else { return 0 }
            if first == 0xF0, bytes[start + 1] < 0x90 { return 0 }
            if first == 0xF4, bytes[start + 1] > 0x8F { return 0 }
            return 4
        default:
            return 0
        }
    }

    /// The first offset in `start..<end` with a byte that cannot appear unescaped in a JSON string. Like `plainEnd`, but
    /// skips valid non-ASCII characters and stops at a byte of 0x80 or above only when it is not UTF-8.
    package static func unescapedEnd(_ bytes: Span<UInt8>, from start: Int, to end: Int) -> Int {
        var at = plainEnd(bytes, from: start, to: end)
        while at < end, bytes[at] >= 0x80 {
            let length = characterLength(bytes, at: at, to: end)
            guard length > 0 else { return at }
            at += length
            // A non-ASCII character is usually followed by more of them.
            if at < end, bytes[at] < 0x80 {
                at = plainEnd(bytes, from: at, to: end)
            }
        }
        return at
    }

    /// The offset of the first byte in `range` that is not part of a valid UTF-8 character; `nil` when all are.
    package static func firstInvalid(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Int? {
        var at = range.lowerBound
        while true {
            at = unescapedEnd(bytes, from: at, to: range.upperBound)
            guard at < range.upperBound else { return nil }
            guard bytes[at] < 0x80 else { return at }
            at += 1
        }
    }

    @inline(__always)
    private static func isContinuation(_ byte: UInt8) -> Bool {
        byte & 0xC0 == 0x80
    }

    /// Sets the top bit of the first byte that is not plain, and of no byte before it.
    ///
    /// Later bytes may be marked wrongly, because a subtraction borrows from the next higher byte: only the lowest mark
    /// counts. (Bit Twiddling Hacks, "Determine if a word has a byte less than n".)
    @inline(__always)
    private static func specialBytes(_ word: UInt64) -> UInt64 {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let tops: UInt64 = 0x8080_8080_8080_8080
        let quotes = word ^ (ones &* 0x22)
        let backslashes = word ^ (ones &* 0x5C)
        let control = (word &- ones &* 0x20) & ~word
        let quote = (quotes &- ones) & ~quotes
        let backslash = (backslashes &- ones) & ~backslashes
        return (control | quote | backslash | word) & tops
    }
}
