import NIOCore
import NIOHTTP1

/// Access control of the admin port.
///
/// Health is open to everybody. With a key, `/v1` requires it as a bearer token (RFC 6750); without one the port must be bound
/// to loopback, and everybody on this machine has full access. Metrics are open on loopback and require the key elsewhere.
public struct AdminAccess: Sendable {
    /// The kind of an endpoint, which determines its access.
    public enum Level: Sendable { case health, metrics, api }

    static let minimumKeyLength = 16

    private let key: [UInt8]?
    private let isLoopback: Bool

    /// - Parameters:
    ///   - key: visible ASCII, at least 16 characters; nil: none.
    ///   - host: the host that the port is bound to.
    /// - Throws: `AdminError` when the port would be reachable without a key. Its text does not repeat the key.
    public init(key: String?, host: String) throws(AdminError) {
        isLoopback = Self.isLoopback(host)
        if let key {
            guard key.utf8.count >= Self.minimumKeyLength, key.utf8.allSatisfy({ (0x21...0x7e).contains($0) }) else {
                throw AdminError(
                    description:
                        "gateway.admin_key must be \(Self.minimumKeyLength) or more visible ASCII characters: "
                        + "openssl rand -hex 32 makes one")
            }
        } else if !isLoopback {
            throw AdminError(
                description:
                    "gateway.admin is bound to \(host), where others can reach it: set gateway.admin_key "
                    + "(or admin_key_file, or TOCSIN_GATEWAY_ADMIN_KEY), or bind it to 127.0.0.1")
        }
        self.key = key.map { Array($0.utf8) }
    }

    /// Names are not resolved: all except `localhost` count as remote.
    static func isLoopback(_ host: String) -> Bool {
        if host == "localhost" || host == "::1" { return true }
        guard let address = try? SocketAddress(ipAddress: host, port: 0), case .v4 = address else { return false }
        return host.hasPrefix("127.")
    }

    /// nil: the request is allowed.
    func refusal(_ headers: HTTPHeaders, for level: Level) -> AdminAnswer? {
        switch level {
        case .health: return nil
        case .metrics where isLoopback: return nil
        case .metrics, .api: break
        }
        guard let key else { return keylessRefusal(headers) }
        let parts = headers["authorization"].first?.split(separator: " ", maxSplits: 1) ?? []
        if parts.count == 2, parts[0].lowercased() == "bearer", Self.equals(Array(parts[1].utf8), key) { return nil }
        return .error(
            .unauthorized, "unauthorized", "the admin key is missing or wrong",
            remedy: "send Authorization: Bearer KEY, with the key of gateway.admin_key",
            headers: [("WWW-Authenticate", "Bearer realm=\"tocsin\"")])
    }

    /// Refuses pages in a browser on this machine, which must not act as its user: they send an Origin, or, if their name was
    /// rebound to 127.0.0.1 (DNS rebinding), a foreign Host.
    private func keylessRefusal(_ headers: HTTPHeaders) -> AdminAnswer? {
        let host = headers["host"].first ?? ""
        let name = host.hasPrefix("[") ? host.dropFirst().prefix { $0 != "]" } : host.prefix { $0 != ":" }
        let isOwn = name == "localhost" || (try? SocketAddress(ipAddress: String(name), port: 0)) != nil
        guard headers["origin"].isEmpty, isOwn else {
            return .error(
                .forbidden, "forbidden", "without a key this port answers no web pages",
                remedy: "ask 127.0.0.1 without an Origin, or set gateway.admin_key")
        }
        return nil
    }

    /// Takes the same time wherever the first difference is.
    static func equals(_ given: [UInt8], _ key: [UInt8]) -> Bool {
        var difference = UInt(bitPattern: given.count ^ key.count)
        for index in given.indices { difference |= UInt(given[index] ^ key[index % key.count]) }
        return difference == 0
    }
}
