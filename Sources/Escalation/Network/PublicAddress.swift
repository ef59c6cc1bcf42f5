/// Whether an address is one of the public Internet: in none of the blocks that IANA's special-purpose registries list
/// (RFC 6890; iana-ipv4-special-registry, iana-ipv6-special-registry), not multicast, and for IPv6 global unicast.
///
/// Blocks that are special but reachable (AS112, AMT, 6to4) are excluded too: no push service is there.
enum PublicAddress {
    private struct Special: Sendable {
        let block: AddressBlock
        let name: String
        init(_ block: String, _ name: String) { (self.block, self.name) = (AddressBlock(constant: block), name) }
    }

    private static let special: [Special] = [
        Special("0.0.0.0/8", "\"this network\""),
        Special("10.0.0.0/8", "private use"),
        Special("100.64.0.0/10", "shared address space of carriers"),
        Special("127.0.0.0/8", "loopback"),
        Special("169.254.0.0/16", "link-local"),
        Special("172.16.0.0/12", "private use"),
        Special("192.0.0.0/24", "protocol assignments"),
        Special("192.0.2.0/24", "documentation"),
        Special("192.31.196.0/24", "AS112"),
        Special("192.52.193.0/24", "multicast tunnelling"),
        Special("192.88.99.0/24", "6to4 relays"),
        Special("192.168.0.0/16", "private use"),
        Special("192.175.48.0/24", "AS112"),
        Special("198.18.0.0/15", "benchmarking"),
        Special("198.51.100.0/24", "documentation"),
        Special("203.0.113.0/24", "documentation"),
        Special("224.0.0.0/4", "multicast"),
        Special("240.0.0.0/4", "reserved"),
        Special("::/128", "unspecified"),
        Special("::1/128", "loopback"),
        Special("::ffff:0:0/96", "IPv4-mapped"),
        Special("::/96", "IPv4-compatible"),
        Special("64:ff9b:1::/48", "local translation"),
        Special("100::/64", "discard-only"),
        Special("100:0:0:1::/64", "dummy prefix"),
        Special("2001::/23", "protocol assignments"),
        Special("2001:db8::/32", "documentation"),
        Special("2002::/16", "6to4"),
        Special("2620:4f:8000::/48", "AS112"),
        Special("3fff::/20", "documentation"),
        Special("5f00::/16", "segment routing"),
        Special("fc00::/7", "unique local"),
        Special("fe80::/10", "link-local"),
        Special("fec0::/10", "site-local"),
        Special("ff00::/8", "multicast"),
    ]
    private static let globalUnicast = AddressBlock(constant: "2000::/3")
    /// IPv6-only networks reach IPv4 addresses through it (RFC 6052 section 2.1): its last four bytes decide.
    private static let translated = AddressBlock(constant: "64:ff9b::/96")

    /// nil: it is a public one. Otherwise what it is.
    static func whyNot(_ address: IPAddress) -> String? {
        if translated.contains(address) { return whyNot(IPAddress(bytes: Array(address.bytes.suffix(4)))) }
        if let special = special.first(where: { $0.block.contains(address) }) { return special.name }
        return address.isIPv6 && !globalUnicast.contains(address) ? "not global unicast" : nil
    }
}
