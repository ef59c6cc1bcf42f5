import Broker
import ChannelLayer
import RedisClient

/// How a person reaches a Redis from a terminal: `redis-cli` with the words that its URL stands for. The password is not among
/// them: redis-cli asks for it.
enum RedisCLI {
    static func words(_ address: RedisAddress) -> [String] {
        var words = ["redis-cli"]
        switch address.transport {
        case .tcp(let host, let port), .tls(let host, let port):
            // Where redis-cli looks by itself need not be said.
            if !["127.0.0.1", "localhost"].contains(host) { words += ["-h", host] }
            if port != 6379 { words += ["-p", String(port)] }
        case .unix(let path): words += ["-s", path]
        }
        if address.isEncrypted { words.append("--tls") }
        if let user = address.user { words += ["--user", user] }
        if address.password != nil { words.append("--askpass") }
        return words + ["-n", String(address.database)]
    }

    /// The command that sends, up to the name of the group.
    static func sending(to address: RedisAddress, prefix: String) throws -> String {
        let group = try GroupName("g")
        let key = LayerKeys(prefix: prefix, database: address.database).group(group).dropLast(group.text.count)
        return (words(address) + ["FCALL", "group_send", "1", String(key)]).map(quoted).joined(separator: " ")
    }

    /// A word as a shell takes it for one.
    static func quoted(_ word: String) -> String {
        if word.wholeMatch(of: /[A-Za-z0-9_.,:\/@%+=-]+/) != nil { return word }
        return "'\(word.replacing("'", with: "'\\''"))'"
    }
}

extension Configuration {
    /// What a person is told to type, up to the name of the group.
    var demoCommand: String {
        get throws {
            try RedisCLI.sending(to: gateway.demoRedis ?? redis.address, prefix: redis.prefix)
        }
    }
}
