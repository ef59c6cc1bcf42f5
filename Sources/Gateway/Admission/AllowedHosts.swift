/// Which Origins may open a connection: the rules of `channels.security.websocket`'s AllowedHostsOriginValidator, so that
/// a Django project's `ALLOWED_HOSTS` can be copied.
///
/// - `*` allows everything, a missing Origin too; without it a missing Origin, `null` or one without a host is refused.
/// - `example.com`: that host, whatever scheme and port; `.example.com`: it and every subdomain.
/// - `https://example.com:8443`: scheme and port must be equal too, after the defaults (http and ws 80, https and wss 443).
/// - An empty list: the host of the request itself.
public struct AllowedHosts: Sendable {
    private enum Pattern: Sendable {
        case any
        case host(String)
        case origin(Origin)
    }

    struct Origin: Sendable, Equatable {
        var scheme: String
        var host: String
        var port: Int?

        /// nil: no host in it. As Python's urlparse reads it.
        init?(_ text: String) {
            guard let colon = text.firstIndex(of: ":"), text[colon...].hasPrefix("://") else { return nil }
            scheme = text[..<colon].lowercased()
            let authority = text[colon...].dropFirst(3).prefix { $0 != "/" && $0 != "?" && $0 != "#" }
            let hostAndPort = authority.split(separator: "@", omittingEmptySubsequences: false).last ?? ""
            guard let (host, port) = AllowedHosts.split(hostAndPort), !host.isEmpty else { return nil }
            self.host = host
            self.port = port ?? Self.defaultPort(scheme)
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

    public init(_ patterns: [String]) {
        self.patterns = patterns.compactMap { text in
            if text == "*" { return .any }
            if text.contains("://") { return Origin(text).map(Pattern.origin) }
            return Self.split(text[...]).map { .host($0.host) }
        }
    }

    /// - Parameters:
    ///   - origin: the last Origin header of the request.
    ///   - host: the request's Host header, for the empty list.
    func allows(origin: String?, host: String) -> Bool {
        if patterns.contains(where: { if case .any = $0 { true } else { false } }) { return true }
        guard let origin = origin.flatMap({ Origin($0) }) else { return false }
        if patterns.isEmpty { return Self.split(host[...])?.host == origin.host }
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

    /// `Example.com:8000` → `example.com`, 8000; `[::1]:80` → `::1`, 80. nil when it cannot be read.
    private static func split(_ text: Substring) -> (host: String, port: Int?)? {
        if text.hasPrefix("[") {
            guard let close = text.firstIndex(of: "]") else { return nil }
            let rest = text[text.index(after: close)...]
            guard rest.isEmpty || rest.hasPrefix(":") else { return nil }
            return (text[text.index(after: text.startIndex)..<close].lowercased(), Int(rest.dropFirst()))
        }
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        if parts.count == 2, !parts[1].isEmpty, Int(parts[1]) == nil { return nil }
        return (parts[0].lowercased(), parts.count == 2 ? Int(parts[1]) : nil)
    }
}
