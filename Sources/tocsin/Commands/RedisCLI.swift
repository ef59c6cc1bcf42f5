import Broker
import ChannelLayer
import RedisClient

/// Builds the `redis-cli` command that connects to a Redis address. It leaves out the password, which redis-cli asks for.
enum RedisCLI {
    static func words(_ address: RedisAddress) -> [String] {
        var words = ["redis-cli"]
        switch address.transport {
        case .tcp(let host, let port), .tls(let host, let port):
            // redis-cli's own defaults need not be given.
            if !["127.0.0.1", "localhost"].contains(host) { words += ["-h", host] }
            if port != 6379 { words += ["-p", String(port)] }
        case .unix(let path): words += ["-s", path]
        }
        if address.isEncrypted { words.append("--tls") }
        if let user = address.user { words += ["--user", user] }
        if address.password != nil { words.append("--askpass") }
        return words + ["-n", String(address.database)]
    }

    /// The command that sends to a group, up to the group's name.
    static func sending(to address: RedisAddress, prefix: String) throws -> String {
        let group = try GroupName("g")
        let key = LayerKeys(prefix: prefix, database: address.database).group(group).dropLast(group.text.count)
        return (words(address) + ["FCALL", "group_send", "1", String(key)]).map(quoted).joined(separator: " ")
    }

    /// The argument, quoted for a shell where necessary.
    static func quoted(_ word: String) -> String {
        if word.wholeMatch(of: /[A-Za-z0-9_.,:\/@%+=-]+/) != nil { return word }
        return "'\(word.replacing("'", with: "'\\''"))'"
    }
}

extension Configuration {
    /// The command for the demo page, up to the group's name.
    ///
    /// - Throws: `ConfigurationError` when no address is configured that redis-cli can be given.
    var demoCommand: String {
        get throws {
            guard redis.hosts.count == 1 else {
                throw ConfigurationError(
                    "gateway.demo_page shows one redis-cli command, and groups are on different redis.hosts: turn it off"
                )
            }
            if let address = gateway.demoRedis { return try RedisCLI.sending(to: address, prefix: redis.prefix) }
            guard case .server(let address) = redis.hosts[0] else {
                throw ConfigurationError(
                    "gateway.demo_redis is missing: redis-cli asks no Sentinels, so the page needs an address for it")
            }
            return try RedisCLI.sending(to: address, prefix: redis.prefix)
        }
    }
}
