/// One to sixteen hex digits, stored in a number together with their count. Comparing and copying them needs no reference
/// counting, which would be most of a position's cost on its way to a thousand clients.
public struct HexDigits: Hashable, Sendable, CustomStringConvertible, ExpressibleByStringLiteral {
    private let value: UInt64
    /// Includes leading zeros.
    private let count: UInt8

    /// nil when empty, too long, or not only `0`–`9` and `a`–`f`.
    public init?(utf8 digits: some Collection<UInt8>) {
        guard (1...16).contains(digits.count) else { return nil }
        var value: UInt64 = 0
        for digit in digits {
            switch digit {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = value << 4 | UInt64(digit - UInt8(ascii: "0"))
            case UInt8(ascii: "a")...UInt8(ascii: "f"): value = value << 4 | UInt64(digit - UInt8(ascii: "a") + 10)
            default: return nil
            }
        }
        self.value = value
        count = UInt8(digits.count)
    }

    public init?(_ text: some StringProtocol) { self.init(utf8: text.utf8) }

    /// For literals in source code; traps on anything invalid.
    public init(stringLiteral text: String) { self.init(text)! }

    public var description: String { value.hex(count: Int(count)) }
}

extension FixedWidthInteger {
    /// The number's last `count` hex digits, with leading zeros.
    public func hex(count: Int) -> String {
        String(unsafeUninitializedCapacity: count) { text in
            var rest = self
            for index in (0..<count).reversed() {
                let digit = UInt8(truncatingIfNeeded: rest & 15)
                text[index] = digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10
                rest >>= 4
            }
            return count
        }
    }
}
