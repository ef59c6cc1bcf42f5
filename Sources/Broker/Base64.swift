/// Base64 (RFC 4648): bytes as text, six bits a character.
public enum Base64: Sendable {
    /// `+` and `/`, padded with `=` to a multiple of four characters (section 4).
    case standard
    /// `-` and `_`, without padding (section 5): tokens (RFC 7515 section 2), Django's signatures.
    case url
    /// `-` and `_`, padded: Fernet's tokens.
    case paddedURL

    @usableFromInline
    var isPadded: Bool { self != .url }

    @usableFromInline
    static let padding = UInt8(ascii: "=")

    private var alphabet: StaticString {
        switch self {
        case .standard: "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
        case .url, .paddedURL: "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        }
    }

    // MARK: Reading

    /// Only the one text that an encoder writes is read: padding just as it has to be, no white space, no bits after the last
    /// byte. So a signed text cannot be changed without breaking its signature.
    ///
    /// Inlinable: called byte by byte through a collection's witnesses it would cost ten times as much.
    @inlinable
    public func decode(_ text: some BidirectionalCollection<UInt8>) -> [UInt8]? {
        guard isPadded else { return digits(text[...]) }
        guard text.count % 4 == 0 else { return nil }
        return digits(text.dropLast(text.suffix(2).count { $0 == Self.padding }))
    }

    @inlinable
    func digits(_ text: some Collection<UInt8>) -> [UInt8]? {
        guard text.count % 4 != 1 else { return nil }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count * 3 / 4)
        var bits: UInt32 = 0, count = 0
        for character in text {
            guard let digit = value(of: character) else { return nil }
            bits = bits << 6 | UInt32(digit)
            count += 6
            if count >= 8 {
                count -= 8
                bytes.append(UInt8(truncatingIfNeeded: bits >> UInt32(count)))
            }
            bits &= (1 << UInt32(count)) - 1
        }
        return bits == 0 ? bytes : nil
    }

    /// The six bits that a character stands for; nil: it is none of the alphabet's.
    @inlinable
    public func value(of character: UInt8) -> UInt8? {
        switch character {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): character - UInt8(ascii: "A")
        case UInt8(ascii: "a")...UInt8(ascii: "z"): character - UInt8(ascii: "a") + 26
        case UInt8(ascii: "0")...UInt8(ascii: "9"): character - UInt8(ascii: "0") + 52
        case self == .standard ? UInt8(ascii: "+") : UInt8(ascii: "-"): 62
        case self == .standard ? UInt8(ascii: "/") : UInt8(ascii: "_"): 63
        default: nil
        }
    }

    // MARK: Writing

    public func encode(_ bytes: some Sequence<UInt8>) -> String {
        bytes.withContiguousStorageIfAvailable { encode($0.span) } ?? encode(Array(bytes).span)
    }

    public func encode(_ bytes: Span<UInt8>) -> String {
        String(unsafeUninitializedCapacity: (bytes.count + 2) / 3 * 4) { text in
            var count = 0
            write(bytes) { character in
                text[count] = character
                count += 1
            }
            return count
        }
    }

    /// Writes the text of the bytes.
    package func write(_ bytes: Span<UInt8>, to writer: inout ByteWriter) { write(bytes) { writer.byte($0) } }

    @inline(__always)
    private func write(_ bytes: Span<UInt8>, _ put: (UInt8) -> Void) {
        alphabet.withUTF8Buffer { alphabet in
            var at = 0
            while bytes.count - at >= 3 {
                let group = UInt32(bytes[at]) << 16 | UInt32(bytes[at + 1]) << 8 | UInt32(bytes[at + 2])
                put(alphabet[Int(group >> 18)])
                put(alphabet[Int(group >> 12 & 63)])
                put(alphabet[Int(group >> 6 & 63)])
                put(alphabet[Int(group & 63)])
                at += 3
            }
            let rest = bytes.count - at
            guard rest > 0 else { return }
            let group = UInt32(bytes[at]) << 16 | (rest == 2 ? UInt32(bytes[at + 1]) << 8 : 0)
            put(alphabet[Int(group >> 18)])
            put(alphabet[Int(group >> 12 & 63)])
            if rest == 2 { put(alphabet[Int(group >> 6 & 63)]) }
            if isPadded { for _ in rest..<3 { put(Self.padding) } }
        }
    }
}
