import Glibc
import NIOCore

/// A list of networks in CIDR notation (RFC 4632): `10.0.0.0/8`, `::1/128`, or a single address.
public struct TrustedNetworks: Sendable {
    private struct Network: Sendable {
        var bytes: [UInt8]
        var bits: Int
    }
    private let networks: [Network]

    /// - Throws: `TemplateError` naming the invalid entry.
    public init(_ texts: [String]) throws(TemplateError) {
        var networks: [Network] = []
        for text in texts {
            let parts = text.split(separator: "/", omittingEmptySubsequences: false)
            guard (1...2).contains(parts.count), let address = try? SocketAddress(ipAddress: String(parts[0]), port: 0),
                let bytes = Self.bytes(address)
            else { throw TemplateError("\"\(text)\" is not a network like 10.0.0.0/8") }
            let bits = parts.count == 2 ? Int(parts[1]) : bytes.count * 8
            guard let bits, (0...bytes.count * 8).contains(bits) else {
                throw TemplateError("\"\(text)\" has no prefix length of 0 to \(bytes.count * 8)")
            }
            networks.append(Network(bytes: bytes, bits: bits))
        }
        self.networks = networks
    }

    private init() { networks = [] }

    /// The empty list: trusts no address.
    public static let none = TrustedNetworks()

    public var isEmpty: Bool { networks.isEmpty }

    func contains(_ address: SocketAddress?) -> Bool {
        guard let address, let bytes = Self.bytes(address) else { return false }
        return networks.contains { network in
            guard network.bytes.count == bytes.count else { return false }
            let whole = network.bits / 8, rest = network.bits % 8
            guard bytes.prefix(whole) == network.bytes.prefix(whole) else { return false }
            return rest == 0 || (bytes[whole] ^ network.bytes[whole]) >> (8 - rest) == 0
        }
    }

    /// The address in network byte order. An IPv4-mapped IPv6 address (from a dual-stack listener) counts as IPv4.
    private static func bytes(_ address: SocketAddress) -> [UInt8]? {
        guard let text = address.ipAddress?.prefix(while: { $0 != "%" }) else { return nil }
        if let v4 = parse(String(text), AF_INET, count: 4) { return v4 }
        guard let bytes = parse(String(text), AF_INET6, count: 16) else { return nil }
        let mapped: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF]
        return bytes.starts(with: mapped) ? [UInt8](bytes.dropFirst(12)) : bytes
    }

    private static func parse(_ text: String, _ family: Int32, count: Int) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: count)
        return inet_pton(family, text, &bytes) == 1 ? bytes : nil
    }
}
