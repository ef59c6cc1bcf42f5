import Foundation

/// The location of a Redis server, with user, password and database, given as a URL.
///
/// - `redis://[user:password@]host[:port][/database]`, port 6379
/// - `rediss://…` the same over TLS
/// - `unix://[user:password@]/path/to/socket[?db=database]`
///
/// The default database is 3 (channels_redis' `/3`); `?db=` overrides the path, as in redis-py.
public struct RedisAddress: Sendable, Equatable {
    public enum Transport: Sendable, Equatable {
        case tcp(host: String, port: Int)
        case tls(host: String, port: Int)
        case unix(path: String)

        init(_ endpoint: RedisEndpoint, isEncrypted: Bool) {
            self =
                isEncrypted
                ? .tls(host: endpoint.host, port: endpoint.port) : .tcp(host: endpoint.host, port: endpoint.port)
        }
    }

    public var transport: Transport
    public var user: String?
    public var password: String?
    public var database: Int

    public static let defaultDatabase = 3

    /// - Parameter database: 0 and up.
    public init(transport: Transport, user: String?, password: String?, database: Int = defaultDatabase) {
        self.transport = transport
        self.user = user
        self.password = password
        self.database = database
    }

    /// Whether a URL of a Redis names its database, so that no default applies.
    public static func namesDatabase(_ text: String) -> Bool {
        let url = URLComponents(string: text)
        return url?.queryItems?.contains { $0.name == "db" } == true
            || (url?.scheme?.lowercased() != "unix" && (url?.path.count ?? 0) > 1)
    }

    /// nil: a socket in the file system.
    var endpoint: RedisEndpoint? {
        switch transport {
        case .tcp(let host, let port), .tls(let host, let port): RedisEndpoint(host: host, port: port)
        case .unix: nil
        }
    }

    /// `rediss://`.
    public var isEncrypted: Bool { if case .tls = transport { true } else { false } }

    public init(_ text: String) throws(RedisError) {
        func bad(_ why: String) -> RedisError {
            // The text may hold a password, so only safe parts of it are shown.
            RedisError(.badAddress, "\(why); write redis://host:port/3, rediss://host:port/3 or unix:///path?db=3")
        }
        guard let url = URLComponents(string: text), let scheme = url.scheme?.lowercased() else {
            throw bad("the Redis address is not a URL")
        }
        var database = Self.defaultDatabase
        if let item = url.queryItems?.first(where: { $0.name == "db" }) {
            guard let number = Int(item.value ?? ""), number >= 0 else {
                throw bad("?db= of the Redis address is not a number")
            }
            database = number
        } else if scheme != "unix", url.path.count > 1 {
            guard let number = Int(url.path.dropFirst()), number >= 0 else {
                throw bad("the path of the Redis address is not a database number")
            }
            database = number
        }
        switch scheme {
        case "redis", "rediss":
            guard var host = url.host, !host.isEmpty else { throw bad("the Redis address names no host") }
            if host.hasPrefix("["), host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
            let port = url.port ?? 6379
            guard (1...65535).contains(port) else { throw bad("the port of the Redis address is not 1 to 65535") }
            transport = scheme == "redis" ? .tcp(host: host, port: port) : .tls(host: host, port: port)
        case "unix":
            guard !url.path.isEmpty else { throw bad("the Redis address names no socket path") }
            // unix://run/redis.sock: the first path component would be parsed as a host, and be lost.
            guard (url.host ?? "").isEmpty else { throw bad("the socket path of the Redis address is not absolute") }
            transport = .unix(path: url.path)
        default:
            throw bad("the Redis address starts with \"\(scheme)\"")
        }
        user = url.user.flatMap { $0.isEmpty ? nil : $0 }
        password = url.password
        self.database = database
    }
}

extension RedisAddress: CustomStringConvertible {
    /// The URL without its password.
    public var description: String {
        let who = user.map { "\($0)@" } ?? (password == nil ? "" : "***@")
        // IPv6 addresses contain colons (RFC 3986, 3.2.2).
        func inURL(_ host: String) -> String { host.contains(":") ? "[\(host)]" : host }
        return switch transport {
        case .tcp(let host, let port): "redis://\(who)\(inURL(host)):\(port)/\(database)"
        case .tls(let host, let port): "rediss://\(who)\(inURL(host)):\(port)/\(database)"
        case .unix(let path): "unix://\(who)\(path)?db=\(database)"
        }
    }
}
