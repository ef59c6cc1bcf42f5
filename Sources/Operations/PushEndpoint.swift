import Foundation
import Glibc

/// Why gateways do not send to this address, which a browser claims is its push service's; nil: they do. It would let whoever may
/// register a subscription make them send requests into their own network.
///
/// These are the rules for the text alone. What a name resolves to is looked at when something is sent.
func pushEndpointRefusal(_ endpoint: String) -> String? {
    guard endpoint.utf8.allSatisfy({ (0x21...0x7e).contains($0) }), let url = URLComponents(string: endpoint),
        let host = url.host?.lowercased(), !host.isEmpty
    else { return "is not a URL" }
    guard url.scheme?.lowercased() == "https" else { return "does not begin with https://" }
    guard url.user == nil, url.password == nil else { return "has a user name or a password" }
    let name = host.hasSuffix(".") ? String(host.dropLast()) : host
    if name == "localhost" || name.hasSuffix(".localhost") { return "is this machine's own" }
    let literal = name.hasPrefix("[") ? String(name.dropFirst().dropLast()) : name
    if literal.contains(":") { return isPublicIPv6(literal) ? nil : "is not in a public network" }
    let labels = literal.split(separator: ".", omittingEmptySubsequences: false)
    // A name whose last label is a number is read as an IPv4 address, in decimal, octal or hex (URL Standard, "ends in a number").
    guard let last = labels.last, last.allSatisfy(\.isNumber) || last.hasPrefix("0x") else { return nil }
    let numbers = labels.compactMap { $0.count > 1 && $0.hasPrefix("0") ? nil : UInt8($0) }
    guard labels.count == 4, numbers.count == 4 else { return "is an IP address in an unusual form" }
    return isPublicIPv4(numbers) ? nil : "is not in a public network"
}

/// Source: IANA's "IPv4 Special-Purpose Address Registry".
private func isPublicIPv4(_ bytes: [UInt8]) -> Bool {
    switch (bytes[0], bytes[1]) {
    case (0, _), (10, _), (127, _), (100, 64...127), (169, 254), (172, 16...31), (192, 168), (198, 18...19): false
    case (192, 0): bytes[2] != 0 && bytes[2] != 2
    case (198, 51): bytes[2] != 100
    case (203, 0): bytes[2] != 113
    case (224..., _): false
    default: true
    }
}

/// Whether it is global unicast, 2000::/3, without documentation's addresses and those that carry an IPv4 address (6to4, Teredo).
private func isPublicIPv6(_ text: String) -> Bool {
    var bytes: [UInt8] = Array(repeating: 0, count: 16)
    guard inet_pton(AF_INET6, text, &bytes) == 1, bytes[0] & 0xe0 == 0x20 else { return false }
    switch (bytes[0], bytes[1], bytes[2], bytes[3]) {
    case (0x20, 0x01, 0x0d, 0xb8), (0x20, 0x01, 0, 0), (0x20, 0x02, _, _): return false
    default: return true
    }
}
