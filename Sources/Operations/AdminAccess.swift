import NIOCore
import NIOHTTP1

/// Who may ask the admin port for what.
///
/// Health is everybody's. With a key, `/v1` wants it as a bearer token (RFC 6750); without one the port must be bound to
/// loopback, and whoever is on this machine may do everything. Metrics are open on loopback and want the key elsewhere.
public struct AdminAccess: Sendable {
    /// What an endpoint is for.
    public enum Level: Sendable { case health, metrics, api }

    static let minimumKeyLength = 16

    private let key: [UInt8]?
    private let isLoopback: Bool

    /// - Parameters:
    ///   - key: visible ASCII, 16 characters at least; nil: none.
    ///   - host: what the port is bound to.
    /// - Throws: `AdminError` when others could reach the port without a key. It does not repeat the key.
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

    /// Names are not looked up: but for `localhost` they count as somebody else's.
    static func isLoopback(_ host: String) -> Bool {
        if host == "localhost" || host == "::1" { return true }
        guard let address = try? SocketAddress(ipAddress: host, port: 0), case .v4 = address else { return false }
        return host.hasPrefix("127.")
    }

    /// nil: the request may go on.
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

    /// A page in a browser on this machine is not its user: it comes with an Origin, or, where its name was bent to
    /// 127.0.0.1 (DNS rebinding), with a Host of its own.
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

    /// Takes as long wherever the first difference is.
    static func equals(_ given: [UInt8], _ key: [UInt8]) -> Bool {
        var difference = UInt(bitPattern: given.count ^ key.count)
        for index in given.indices { difference |= UInt(given[index] ^ key[index % key.count]) }
        return difference == 0
    }
}
