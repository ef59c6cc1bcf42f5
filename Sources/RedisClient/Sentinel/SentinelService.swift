import Foundation

/// A primary that is found by asking Redis Sentinels for it (redis.io, "Sentinel client guidelines").
///
/// As a URL: `redis+sentinel://[user:password@]host[:port],host[:port]/master_name[/database]`, port 26379, database 3.
/// User and password are the server's; those of the Sentinels are `?sentinel_user=…&sentinel_password=…`.
/// `rediss+sentinel://…` uses TLS for all of them.
public struct SentinelService: Sendable, Equatable {
    public static let defaultPort = 26379

    /// The name under which the Sentinels monitor the primary.
    public var masterName: String
    /// The Sentinels to ask, in this order at first. Not empty.
    public var sentinels: [RedisEndpoint]
    /// The login at the Sentinels. Default: none.
    public var sentinelUser: String?
    public var sentinelPassword: String?
    /// Whether connections to the Sentinels use TLS. Default false.
    public var sentinelsAreEncrypted = false
    /// The login at the servers. Default: none.
    public var user: String?
    public var password: String?
    /// Default 3.
    public var database = RedisAddress.defaultDatabase
    /// Whether connections to the servers use TLS. Default false.
    public var isEncrypted = false

    /// - Returns: nil: the name is empty or not visible ASCII, or there are no Sentinels.
    public init?(masterName: String, sentinels: [RedisEndpoint]) {
        // Sentinel's messages separate words by spaces.
        guard !masterName.isEmpty, masterName.utf8.allSatisfy({ (0x21...0x7e).contains($0) }), !sentinels.isEmpty
        else { return nil }
        self.masterName = masterName
        self.sentinels = sentinels
    }

    static func isURL(_ text: String) -> Bool {
        let scheme = text.prefix { $0 != ":" }.lowercased()
        return scheme == "redis+sentinel" || scheme == "rediss+sentinel"
    }

    /// Parses the URL. `URLComponents` knows only one host per URL, so it is taken apart here.
    ///
    /// - Throws: `RedisError` `.badAddress`, which repeats nothing of the URL.
    init(_ text: String) throws(RedisError) {
        func bad(_ why: String) -> RedisError {
            RedisError(
                .badAddress, "\(why); write redis+sentinel://user:password@host:26379,host:26379/master_name/3")
        }
        guard let start = text.range(of: "://")?.upperBound else { throw bad("the Sentinel address is not a URL") }
        let parts = text[start...].split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        let path = parts[0].split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        var login: String?, hosts = path[0]
        if let at = hosts.lastIndex(of: "@") {
            login = String(hosts[..<at])
            hosts = String(hosts[hosts.index(after: at)...])
        }
        var sentinels: [RedisEndpoint] = []
        for host in hosts.split(separator: ",", omittingEmptySubsequences: false) {
            guard let sentinel = RedisEndpoint(String(host), defaultPort: Self.defaultPort) else {
                throw bad("a Sentinel of the address is not HOST or HOST:PORT")
            }
            sentinels.append(sentinel)
        }
        guard path.count >= 2, let name = path[1].removingPercentEncoding,
            let service = SentinelService(masterName: name, sentinels: sentinels)
        else { throw bad("the Sentinel address names no master") }
        self = service
        if path.count > 2, !path[2].isEmpty || path.count > 3 {
            guard path.count == 3, let number = Int(path[2]), number >= 0 else {
                throw bad("what follows the master's name in the Sentinel address is not a database number")
            }
            database = number
        }
        if let login {
            let words = login.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            user = words[0].isEmpty ? nil : words[0].removingPercentEncoding
            password = words.count > 1 ? words[1].removingPercentEncoding : nil
        }
        if parts.count > 1 { try readQuery(parts[1], bad) }
        isEncrypted = text.lowercased().hasPrefix("rediss+")
        sentinelsAreEncrypted = isEncrypted
    }

    private mutating func readQuery(_ text: Substring, _ bad: (String) -> RedisError) throws(RedisError) {
        for item in text.split(separator: "&") {
            let words = item.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let value = words.count > 1 ? words[1].removingPercentEncoding ?? "" : ""
            switch words[0] {
            case "sentinel_user": sentinelUser = value
            case "sentinel_password": sentinelPassword = value
            case "db":
                guard let number = Int(value), number >= 0 else {
                    throw bad("?db= of the Sentinel address is not a number")
                }
                database = number
            default: throw bad("the Sentinel address has a parameter other than db, sentinel_user, sentinel_password")
            }
        }
    }

    /// A server at this place, with the login and database of the service.
    func address(of endpoint: RedisEndpoint) -> RedisAddress {
        RedisAddress(
            transport: .init(endpoint, isEncrypted: isEncrypted), user: user, password: password, database: database)
    }

    func sentinelAddress(_ index: Int) -> RedisAddress {
        RedisAddress(
            transport: .init(sentinels[index], isEncrypted: sentinelsAreEncrypted), user: sentinelUser,
            password: sentinelPassword, database: 0)
    }
}

extension SentinelService: CustomStringConvertible {
    /// The URL without its passwords.
    public var description: String {
        let who = user.map { "\($0)@" } ?? (password == nil ? "" : "***@")
        let scheme = isEncrypted ? "rediss+sentinel" : "redis+sentinel"
        let hosts = sentinels.map(\.description).joined(separator: ",")
        return "\(scheme)://\(who)\(hosts)/\(masterName)/\(database)"
    }
}
