import Glibc

/// An IPv4 or IPv6 address in network byte order.
public struct IPAddress: Hashable, Sendable, CustomStringConvertible {
    /// 4 or 16.
    let bytes: [UInt8]

    init(bytes: [UInt8]) {
        precondition(bytes.count == 4 || bytes.count == 16)
        self.bytes = bytes
    }

    /// Four decimal numbers without leading zeros, or IPv6 without brackets and zone (RFC 4291 section 2.2). nil for all else,
    /// also for the shorter, octal and hexadecimal forms that some programs read as IPv4 addresses.
    init?(_ text: String) {
        if let bytes = Self.bytes(text, AF_INET, count: 4) ?? Self.bytes(text, AF_INET6, count: 16) {
            self.bytes = bytes
        } else {
            return nil
        }
    }

    private static func bytes(_ text: String, _ family: Int32, count: Int) -> [UInt8]? {
        guard !text.utf8.contains(0) else { return nil }
        var bytes = [UInt8](repeating: 0, count: count)
        return inet_pton(family, text, &bytes) == 1 ? bytes : nil
    }

    var isIPv6: Bool { bytes.count == 16 }

    /// As RFC 5952 writes it.
    public var description: String {
        var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        guard inet_ntop(isIPv6 ? AF_INET6 : AF_INET, bytes, &text, socklen_t(text.count)) != nil else { return "?" }
        return String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
}

/// A block of addresses in CIDR notation (RFC 4632): `10.0.0.0/8`, `fc00::/7`, or a single address.
public struct AddressBlock: Hashable, Sendable, CustomStringConvertible {
    private let address: IPAddress
    private let bits: Int

    /// - Throws: `EscalationError` naming the text.
    public init(_ text: String) throws(EscalationError) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard (1...2).contains(parts.count), let address = IPAddress(String(parts[0])) else {
            throw EscalationError("\"\(text)\" is not a block of addresses like 10.0.0.0/8 or fc00::/7")
        }
        let length = address.bytes.count * 8
        guard let bits = parts.count == 2 ? Int(parts[1]) : length, (0...length).contains(bits) else {
            throw EscalationError("\"\(text)\" has no prefix length of 0 to \(length)")
        }
        self.address = address
        self.bits = bits
    }

    /// For the constants of this module; traps on anything invalid.
    init(constant text: String) { try! self.init(text) }

    /// An IPv4 address is in no block of IPv6 addresses, nor the other way round.
    func contains(_ other: IPAddress) -> Bool {
        guard other.bytes.count == address.bytes.count else { return false }
        let whole = bits / 8, rest = bits % 8
        guard other.bytes.prefix(whole) == address.bytes.prefix(whole) else { return false }
        return rest == 0 || (other.bytes[whole] ^ address.bytes[whole]) >> (8 - rest) == 0
    }

    public var description: String { "\(address)/\(bits)" }
}
