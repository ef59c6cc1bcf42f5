/// Which Origins may open a connection. Follows `AllowedHostsOriginValidator` of `channels.security.websocket`, so that a
/// Django project's `ALLOWED_HOSTS` can be copied.
///
/// - `*` allows everything, including a missing Origin. Otherwise an Origin that is missing, `null` or has no host is refused.
/// - `example.com`: that host with any scheme and port; `.example.com`: the host and every subdomain.
/// - `https://example.com:8443`: scheme and port must match too, with defaults filled in (http and ws 80, https and wss 443).
/// - `example.com:8000`: read as a URL with the scheme `example.com`, as channels does, so it never matches.
/// - An empty list: the Origin's host must equal the request's own Host.
///
/// Origins that no browser sends (no scheme, a port that is not a number, an invalid host) are refused even where Python's
/// urlparse accepts them.
public struct AllowedHosts: Sendable, Equatable {
    private enum Pattern: Sendable, Equatable {
        case any
        case host(String)
        case origin(Origin)
    }

    struct Origin: Sendable, Equatable {
        var scheme: String
        var host: String
        var port: Int?

        /// Parsed as Python's urlparse does. nil when there is no host.
        init?(_ text: String, isPattern: Bool = false) {
            guard let scheme = AllowedHosts.scheme(text) else { return nil }
            let rest = text.utf8[scheme.endIndex...]
            guard rest.starts(with: "://".utf8) else { return nil }
            let authority = AllowedHosts.authority(rest.dropFirst(3))
            guard let (host, port) = AllowedHosts.split(authority), !host.isEmpty, host.first != "." || isPattern else {
                return nil
            }
            self.scheme = Substring(scheme).lowercased()
            self.host = host
            self.port = port ?? Self.defaultPort(self.scheme)
        }

        private static func defaultPort(_ scheme: String) -> Int? {
            switch scheme {
            case "http", "ws": 80
            case "https", "wss": 443
            default: nil
            }
        }
    }

    private let patterns: [Pattern]
    private let wantsOwnHost: Bool

    /// Whether the list is empty, which allows only the request's own Host.
    public var isEmpty: Bool { wantsOwnHost }

    public init(_ patterns: [String]) {
        // An unreadable pattern matches nothing. It must not be dropped silently: an empty list has a different meaning.
        wantsOwnHost = patterns.isEmpty
        self.patterns = patterns.compactMap { text in
            if text == "*" { return .any }
            if Self.scheme(text) != nil { return Origin(text, isPattern: true).map(Pattern.origin) }
            let host = Self.split(Self.authority(text.utf8[...]))?.host ?? ""
            return .host(host.isEmpty ? text.lowercased() : host)
        }
    }

    // Compared as bytes: everything matched here is ASCII, and this runs on every handshake.

    /// The part before the first colon, if it is a valid scheme (RFC 3986 section 3.1).
    private static func scheme(_ text: String) -> Substring.UTF8View? {
        guard let colon = text.utf8.firstIndex(of: UInt8(ascii: ":")), let first = text.utf8.first, isLetter(first)
        else { return nil }
        let scheme = text.utf8[..<colon]
        return scheme.allSatisfy { isLetter($0) || isDigit($0) || "+-.".utf8.contains($0) } ? scheme : nil
    }

    private static func isLetter(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

    /// The authority without its userinfo; takes the text after `//`.
    private static func authority(_ text: Substring.UTF8View) -> Substring.UTF8View {
        let authority = text.prefix { !"/?#".utf8.contains($0) }
        guard let at = authority.lastIndex(of: UInt8(ascii: "@")) else { return authority }
        return authority[at...].dropFirst()
    }

    /// - Parameters:
    ///   - origin: the request's Origin header.
    ///   - host: the request's Host header, used when the list is empty.
    func allows(origin: String?, host: String) -> Bool {
        if patterns.contains(where: { if case .any = $0 { true } else { false } }) { return true }
        guard let origin = origin.flatMap({ Origin($0) }) else { return false }
        if wantsOwnHost { return Self.split(host.utf8[...])?.host == origin.host }
        return patterns.contains { pattern in
            switch pattern {
            case .any: true
            case .host(let host): Self.matches(origin.host, host)
            case .origin(let wanted):
                wanted.scheme == origin.scheme && wanted.port == origin.port && Self.matches(origin.host, wanted.host)
            }
        }
    }

    private static func matches(_ host: String, _ pattern: String) -> Bool {
        guard pattern.hasPrefix(".") else { return host == pattern }
        return host == pattern.dropFirst() || (host.hasSuffix(pattern) && host.utf8.count > pattern.utf8.count)
    }

    /// `Example.com:8000` → `example.com`, 8000; `[::1]:80` → `::1`, 80. nil when malformed.
    private static func split(_ text: Substring.UTF8View) -> (host: String, port: Int?)? {
        let colon = UInt8(ascii: ":")
        var host = text.prefix { $0 != colon }, rest = text[host.endIndex...]
        if text.first == UInt8(ascii: "[") {
            guard let close = text.firstIndex(of: UInt8(ascii: "]")) else { return nil }
            host = text[..<close].dropFirst()
            rest = text[close...].dropFirst()
        }
        let name = Substring(host).lowercased(), digits = rest.dropFirst()
        if rest.isEmpty { return (name, nil) }
        guard rest.first == colon, digits.allSatisfy(isDigit) else { return nil }
        if digits.isEmpty { return (name, nil) }
        return UInt16(Substring(digits)).map { (name, Int($0)) }
    }
}
