/// The address of a push subscription (RFC 8030 section 5). It is a secret, because it is all that is needed to send to the browser:
/// its description is its origin only.
///
/// It comes from a browser, that is, from anybody: without checks it would have the gateway send requests into the operator's
/// own network. Its text is checked here; the addresses that its name resolves to are checked when connecting.
public struct PushEndpoint: Sendable, Hashable, CustomStringConvertible {
    /// The longest that is accepted, in bytes. Those of the browsers' push services have a few hundred.
    public static let maximumLength = 2048

    /// All of it, with the host in lower case.
    public let url: String
    /// A name in lower case, or an IP address without brackets.
    let host: String
    /// `https://host[:port]`, as in RFC 6454 section 6.2.
    public let origin: String

    /// - Throws: `EscalationError` that says what is wrong with it.
    public init(_ text: String, policy: OutboundPolicy = OutboundPolicy()) throws(EscalationError) {
        guard text.utf8.count <= Self.maximumLength else {
            throw EscalationError("the endpoint has \(text.utf8.count) bytes, more than \(Self.maximumLength)")
        }
        guard text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "\\") }) else {
            throw EscalationError("the endpoint has a character that does not belong in a URL")
        }
        guard text.prefix(8).lowercased() == "https://" else {
            throw EscalationError("the endpoint does not begin with https://")
        }
        guard !text.contains("#") else { throw EscalationError("the endpoint has a fragment (#…)") }
        let authority = text.dropFirst(8).prefix { $0 != "/" && $0 != "?" }
        let rest = text.dropFirst(8 + authority.count)
        guard !authority.contains("@") else { throw EscalationError("the endpoint has a login before its host") }
        let port: Int
        (host, port) = try Self.split(authority)
        try Self.check(host, policy)
        let printed = (host.contains(":") ? "[\(host)]" : host) + (port == 443 ? "" : ":\(port)")
        origin = "https://" + printed
        url = origin + (rest.hasPrefix("/") ? "" : "/") + rest
    }

    private static func split(_ authority: Substring) throws(EscalationError) -> (host: String, port: Int) {
        let host: String
        let tail: Substring
        if authority.hasPrefix("[") {
            let inside = authority.dropFirst().prefix { $0 != "]" }
            // The normal form, so that one address has one text.
            guard let address = IPAddress(String(inside)), address.isIPv6 else {
                throw EscalationError("the endpoint's host in brackets is no IPv6 address")
            }
            (host, tail) = ("\(address)", authority.dropFirst(inside.count + 2))
        } else {
            host = authority.prefix { $0 != ":" }.lowercased()
            tail = authority.dropFirst(host.count)
        }
        guard !tail.isEmpty else { return (host, 443) }
        guard tail.hasPrefix(":"), tail.dropFirst().allSatisfy(\.isWholeNumber), let port = Int(tail.dropFirst()),
            (1...65535).contains(port)
        else { throw EscalationError("the endpoint's port is not a number from 1 to 65535") }
        return (host, port)
    }

    private static func check(_ host: String, _ policy: OutboundPolicy) throws(EscalationError) {
        if let address = IPAddress(host) {
            guard let reason = policy.whyNot(address) else { return }
            throw EscalationError("the endpoint's address \(address) is not public (\(reason))")
        }
        guard !host.isEmpty, host.utf8.count <= 253 else {
            throw EscalationError("the endpoint has no host of 1 to 253 bytes")
        }
        let labels = host.split(separator: ".", omittingEmptySubsequences: false)
        guard labels.allSatisfy(isLabel) else {
            throw EscalationError("the endpoint's host is no name of letters, digits, - and _ between single dots")
        }
        // As the URL standard of browsers has it ("ends in a number"): programs read such a name as an IPv4 address.
        let last = labels[labels.count - 1]
        guard !last.allSatisfy(\.isNumber), !last.hasPrefix("0x") else {
            throw EscalationError("the endpoint's host is a number, and no IPv4 address of four decimal numbers")
        }
        if last == "localhost" {
            guard policy.allowsLocalhost else { throw EscalationError("the endpoint's host is a name of this machine") }
            return
        }
        guard labels.count > 1, !localSuffixes.contains(where: { host.hasSuffix("." + $0) }) else {
            throw EscalationError("the endpoint's host is a name of a local network")
        }
    }

    /// RFC 6762, RFC 8375, ICANN's decision on .internal, RFC 7686, RFC 9476: names that no public resolver knows.
    private static let localSuffixes = ["local", "home.arpa", "internal", "onion", "alt"]

    private static func isLabel(_ label: Substring) -> Bool {
        (1...63).contains(label.utf8.count)
            && label.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                    UInt8(ascii: "-"), UInt8(ascii: "_"):
                    true
                default: false
                }
            }
    }

    public var description: String { origin }
}
