/// Which Origins may open a connection: the rules of `channels.security.websocket`'s AllowedHostsOriginValidator, so that
/// a Django project's `ALLOWED_HOSTS` can be copied.
///
/// - `*` allows everything, a missing Origin too; without it a missing Origin, `null` or one without a host is refused.
/// - `example.com`: that host, whatever scheme and port; `.example.com`: it and every subdomain.
/// - `https://example.com:8443`: scheme and port must be equal too, after the defaults (http and ws 80, https and wss 443).
/// - `example.com:8000`: no host with a port but an address of the scheme `example.com`, as for channels: it lets nobody in.
/// - An empty list: the host of the request itself.
///
/// What no browser sends (an Origin without a scheme, with a port that is no number, with a host that is none) is
/// refused even where Python's urlparse makes sense of it.
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
        init?(_ text: String, isPattern: Bool = false) {
            guard let scheme = AllowedHosts.scheme(text), text.dropFirst(scheme.count).hasPrefix("://") else {
                return nil
            }
            let authority = AllowedHosts.authority(text.dropFirst(scheme.count + 3))
            guard let (host, port) = AllowedHosts.split(authority), !host.isEmpty, host.first != "." || isPattern else {
                return nil
            }
            self.scheme = scheme.lowercased()
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

    public init(_ patterns: [String]) {
        // What cannot be read lets nobody in; it must not leave an empty list behind, which means something else.
        wantsOwnHost = patterns.isEmpty
        self.patterns = patterns.compactMap { text in
            if text == "*" { return .any }
            if Self.scheme(text) != nil { return Origin(text, isPattern: true).map(Pattern.origin) }
            let host = Self.split(Self.authority(text[...]))?.host ?? ""
            return .host(host.isEmpty ? text.lowercased() : host)
        }
    }

    /// What stands before the first colon, if it can be a scheme (RFC 3986 section 3.1).
    private static func scheme(_ text: String) -> Substring? {
        guard let colon = text.firstIndex(of: ":"), let first = text.first, first.isASCII, first.isLetter else {
            return nil
        }
        let scheme = text[..<colon]
        return scheme.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "+-.".contains($0)) } ? scheme : nil
    }

    /// Host and port of what follows `//`.
    private static func authority(_ text: Substring) -> Substring {
        let authority = text.prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        return authority.split(separator: "@", omittingEmptySubsequences: false).last ?? ""
    }

    /// - Parameters:
    ///   - origin: the request's Origin header.
    ///   - host: the request's Host header, for the empty list.
    func allows(origin: String?, host: String) -> Bool {
        if patterns.contains(where: { if case .any = $0 { true } else { false } }) { return true }
        guard let origin = origin.flatMap({ Origin($0) }) else { return false }
        if wantsOwnHost { return Self.split(host[...])?.host == origin.host }
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
        var host = text.prefix { $0 != ":" }, rest = text[host.endIndex...]
        if text.hasPrefix("[") {
            guard let close = text.firstIndex(of: "]") else { return nil }
            host = text[text.index(after: text.startIndex)..<close]
            rest = text[text.index(after: close)...]
        }
        guard rest.count > 1 else { return rest.isEmpty || rest == ":" ? (host.lowercased(), nil) : nil }
        let digits = rest.dropFirst()
        guard rest.first == ":", digits.allSatisfy({ $0.isASCII && $0.isNumber }), let port = UInt16(digits) else {
            return nil
        }
        return (host.lowercased(), Int(port))
    }
}
