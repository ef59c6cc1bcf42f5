/// Where a server listens: host and port, without login.
public struct RedisEndpoint: Sendable, Hashable {
    public var host: String
    public var port: Int

    /// - Returns: nil: the host cannot be one (empty, longer than 255 bytes, not visible ASCII), or the port is not 1 to 65535.
    public init?(host: String, port: Int) {
        guard (1...255).contains(host.utf8.count), host.utf8.allSatisfy({ (0x21...0x7e).contains($0) }),
            (1...65535).contains(port)
        else { return nil }
        self.host = host
        self.port = port
    }

    /// Parses `HOST`, `HOST:PORT`, `[::1]` or `[::1]:PORT`.
    public init?(_ text: String, defaultPort: Int) {
        var host = Substring(text), port = defaultPort
        let isBracketed = text.hasPrefix("[")
        let bracket = text.firstIndex(of: "]")
        guard isBracketed == (bracket != nil) else { return nil }
        let end = isBracketed ? bracket.map(text.index(after:)) : text.firstIndex(of: ":")
        if let end, end < text.endIndex {
            guard text[end] == ":", let number = Int(text[text.index(after: end)...]) else { return nil }
            (host, port) = (text[..<end], number)
        }
        if isBracketed { host = host.dropFirst().dropLast() }
        self.init(host: String(host), port: port)
    }
}

extension RedisEndpoint: CustomStringConvertible {
    /// As part of a URL: IPv6 addresses contain colons, so they are in brackets (RFC 3986, 3.2.2).
    public var description: String {
        let name = host.contains(":") ? "[\(host)]" : host
        return "\(name):\(port)"
    }
}
