import Foundation
import RedisClient
import Yams

/// Reads `redis.hosts`, in every form that channels_redis takes.
///
/// | Form | |
/// |---|---|
/// | `redis://host:6379/3` | a URL, also `redis+sentinel://…` |
/// | `[host, 6379]` | |
/// | `{ address: URL, db, username, password }` | what the URL says counts more |
/// | `{ host, port, db, username, password, ssl }` | |
/// | `{ master_name, sentinels: [host:26379, [host, 26379]], db, username, password, ssl, sentinel_kwargs }` | |
///
/// Where a form names no database it is 3, as everywhere in this program.
extension RedisHost {
    /// - Returns: nil: nothing is configured.
    /// - Throws: `ConfigurationError` that names the entry and never shows a password.
    static func list(
        _ reader: ConfigurationReader, _ environment: [String: String]
    ) throws(ConfigurationError) -> [RedisHost]? {
        let node = reader.node("hosts")
        if let url = environment["TOCSIN_REDIS"] { return [try host(url, reader)] }
        if let text = reader.override("hosts") {
            var hosts: [RedisHost] = []
            for url in urls(text) { hosts.append(try host(url, reader)) }
            return hosts
        }
        guard let node, node.null == nil else { return nil }
        if let scalar = node.scalar { return [try host(scalar.string, reader)] }
        guard let sequence = node.sequence else { throw reader.bad("hosts", "must be a list") }
        var hosts: [RedisHost] = []
        for (index, entry) in sequence.enumerated() { hosts.append(try host(entry, index, reader)) }
        return hosts
    }

    /// Separates URLs at commas, which a Sentinel's URL has inside.
    private static func urls(_ text: String) -> [String] {
        var urls: [String] = []
        for part in text.split(separator: ",").map({ $0.trimmingCharacters(in: .whitespaces) }) where !part.isEmpty {
            if urls.isEmpty || part.contains("://") { urls.append(part) } else { urls[urls.count - 1] += ",\(part)" }
        }
        return urls
    }

    private static func host(_ url: String, _ reader: ConfigurationReader) throws(ConfigurationError) -> RedisHost {
        do throws(RedisError) { return try RedisHost(url) } catch { throw reader.bad("hosts", ": \(error)") }
    }

    private static func host(
        _ node: Node, _ index: Int, _ reader: ConfigurationReader
    ) throws(ConfigurationError) -> RedisHost {
        if let scalar = node.scalar, node.null == nil { return try host(scalar.string, reader) }
        if let pair = node.sequence {
            guard let endpoint = endpoint(Array(pair)) else {
                throw reader.bad("hosts", "has a list that is not [host, port]: write [redis.example.com, 6379]")
            }
            return .server(
                RedisAddress(transport: .tcp(host: endpoint.host, port: endpoint.port), user: nil, password: nil))
        }
        guard node.mapping != nil else {
            throw reader.bad("hosts", "must be a list of URLs, [host, port] or mappings")
        }
        return try RedisHost(reader.entry("hosts", index, node))
    }

    private static func endpoint(_ pair: [Node]) -> RedisEndpoint? {
        guard pair.count == 2, let host = pair[0].scalar?.string, let port = (pair[1].scalar?.string).flatMap(Int.init)
        else { return nil }
        return RedisEndpoint(host: host, port: port)
    }

    private init(_ reader: ConfigurationReader) throws(ConfigurationError) {
        let login = try RedisLogin(reader)
        let isEncrypted = try reader.flag("ssl")
        if let name = try reader.text("master_name") {
            self = .sentinel(try Self.service(name, reader, login, isEncrypted ?? false))
        } else if let url = try reader.text("address") {
            self = .server(try Self.server(url, reader, login))
        } else {
            let name = try reader.text("host") ?? "localhost", port = try reader.integer("port", 1...65535) ?? 6379
            guard let endpoint = RedisEndpoint(host: name, port: port) else {
                throw reader.bad("host", "must be a host's name or address")
            }
            self = .server(
                RedisAddress(
                    transport: isEncrypted == true
                        ? .tls(host: endpoint.host, port: endpoint.port)
                        : .tcp(host: endpoint.host, port: endpoint.port),
                    user: login.user, password: login.password, database: login.database ?? RedisAddress.defaultDatabase
                ))
        }
        // The key that decides which form it is, where it is missing.
        for key in ["master_name", "address", "host"] { _ = reader.node(key) }
        try reader.finish()
    }

    private static func server(
        _ url: String, _ reader: ConfigurationReader, _ login: RedisLogin
    ) throws(ConfigurationError) -> RedisAddress {
        do throws(RedisError) {
            var address = try RedisAddress(url)
            if let database = login.database, !RedisAddress.namesDatabase(url) { address.database = database }
            address.user = address.user ?? login.user
            address.password = address.password ?? login.password
            return address
        } catch {
            throw reader.bad("address", ": \(error)")
        }
    }

    private static func service(
        _ name: String, _ reader: ConfigurationReader, _ login: RedisLogin, _ isEncrypted: Bool
    ) throws(ConfigurationError) -> SentinelService {
        let list = reader.node("sentinels")
        guard let list, let nodes = list.sequence, !nodes.isEmpty else {
            throw reader.bad("sentinels", "is missing: where to ask for \"\(name)\", like [\"10.0.0.1:26379\"]")
        }
        var sentinels: [RedisEndpoint] = []
        for node in nodes {
            let sentinel =
                (node.scalar?.string).flatMap { RedisEndpoint($0, defaultPort: SentinelService.defaultPort) }
                ?? (node.sequence).flatMap { endpoint(Array($0)) }
            guard let sentinel else { throw reader.bad("sentinels", "must have entries host:26379 or [host, 26379]") }
            sentinels.append(sentinel)
        }
        guard var service = SentinelService(masterName: name, sentinels: sentinels) else {
            throw reader.bad("master_name", "must be visible ASCII characters without spaces")
        }
        (service.user, service.password) = (login.user, login.password)
        service.database = login.database ?? RedisAddress.defaultDatabase
        service.isEncrypted = isEncrypted
        let own = try reader.section("sentinel_kwargs")
        let (user, password) = (try own.text("username"), try own.text("password"))
        service.sentinelUser = try reader.text("sentinel_user") ?? user
        service.sentinelPassword = try reader.text("sentinel_password") ?? password
        service.sentinelsAreEncrypted = try own.flag("ssl") ?? isEncrypted
        try own.finish()
        return service
    }
}

/// The keys of an entry that say who logs in, and to which database.
private struct RedisLogin {
    let user: String?
    let password: String?
    let database: Int?

    init(_ reader: ConfigurationReader) throws(ConfigurationError) {
        user = try reader.text("username")
        password = try reader.text("password")
        database = try reader.integer("db", 0...1_000_000)
    }
}
