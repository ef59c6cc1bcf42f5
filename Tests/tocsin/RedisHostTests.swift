import Broker
import ChannelLayer
import RedisClient
import Testing

@testable import tocsin

/// `redis.hosts` in the forms that channels_redis takes.
struct RedisHostTests {
    private func hosts(_ entry: String, _ environment: [String: String] = [:]) throws -> String {
        let configuration = try Configuration(yaml: "redis: { hosts: [\(entry)] }", environment: environment)
        return configuration.redis.hosts.map(\.description).joined(separator: " ")
    }

    private func message(_ entry: String) -> String {
        do { return try hosts(entry) } catch { return "\(error)" }
    }

    @Test(arguments: [
        ("\"redis://h:1/2\"", "redis://h:1/2"), ("[h, 6380]", "redis://h:6380/3"),
        ("[\"::1\", 1]", "redis://[::1]:1/3"),
        ("{ address: \"redis://h\" }", "redis://h:6379/3"), ("{ address: \"redis://h\", db: 5 }", "redis://h:6379/5"),
        ("{ address: \"redis://h/1\", db: 5 }", "redis://h:6379/1"),
        ("{ address: \"redis://h\", username: app, password: Tr0ub4dor }", "redis://app@h:6379/3"),
        ("{ address: \"redis://you:p@h\", username: app, password: q }", "redis://you@h:6379/3"),
        ("{ host: h, port: 1, db: 0, password: Tr0ub4dor }", "redis://***@h:1/0"),
        ("{ port: 1 }", "redis://localhost:1/3"),
        ("{ host: h, ssl: true }", "rediss://h:6379/3"),
        ("{ master_name: m, sentinels: [\"a:1\", [b, 2], c] }", "redis+sentinel://a:1,b:2,c:26379/m/3"),
        (
            "{ master_name: m, sentinels: [a], db: 4, username: app, password: p, ssl: true }",
            "rediss+sentinel://app@a:26379/m/4"
        ),
        ("\"redis+sentinel://a,b/m/1\"", "redis+sentinel://a:26379,b:26379/m/1"),
    ])
    func `An entry is read`(entry: String, shown: String) throws {
        #expect(try hosts(entry) == shown)
    }

    @Test func `Sentinels have a login of their own, under either name`() throws {
        for own in [
            "sentinel_user: w, sentinel_password: s", "sentinel_kwargs: { username: w, password: s, ssl: true }",
        ] {
            let configuration = try Configuration(
                yaml: "redis: { hosts: [{ master_name: m, sentinels: [a], password: p, \(own) }] }", environment: [:])
            guard case .sentinel(let service) = configuration.redis.hosts[0] else {
                #expect(Bool(false))
                continue
            }
            #expect(service.sentinelUser == "w" && service.sentinelPassword == "s" && service.password == "p")
            #expect(!service.isEncrypted && service.sentinelsAreEncrypted == own.contains("ssl"))
        }
    }

    @Test(arguments: [
        ("5", "redis.hosts (line 1) : the Redis address"),
        ("[h]", "redis.hosts (line 1) has a list that is not [host, port]"),
        ("[h, x]", "redis.hosts (line 1) has a list that is not [host, port]"),
        ("null", "redis.hosts (line 1) must be a list"),
        ("{ host: \"\" }", "redis.hosts[0].host (line 1) must be a host's name"),
        ("{ host: h, port: 0 }", "redis.hosts[0].port (line 1) must be a whole number"),
        ("{ host: h, db: -1 }", "redis.hosts[0].db (line 1) must be a whole number"),
        ("{ address: \"http://h\" }", "redis.hosts[0].address (line 1) : the Redis address starts with"),
        ("{ master_name: m }", "redis.hosts[0].sentinels is missing: where to ask for \"m\""),
        ("{ master_name: m, sentinels: [] }", "redis.hosts[0].sentinels (line 1) is missing"),
        ("{ master_name: m, sentinels: [[a]] }", "redis.hosts[0].sentinels (line 1) must have entries host:26379"),
        ("{ master_name: \"a b\", sentinels: [a] }", "redis.hosts[0].master_name (line 1) must be visible"),
        (
            "{ host: h, pasword: Tr0ub4dor }",
            "unknown key \"redis.hosts[0].pasword\" (line 1); did you mean \"password\"?"
        ),
        ("{ sentinels: [a] }", "unknown key \"redis.hosts[0].sentinels\""),
        ("{ address: \"redis://u:Tr0ub4dor@h:0\" }", "redis.hosts[0].address (line 1) : the port"),
        ("{ host: h, password: [Tr0ub4dor] }", "redis.hosts[0].password (line 1) must be a single value"),
        (
            "{ master_name: m, sentinels: [a], sentinel_kwargs: { passwort: Tr0ub4dor } }",
            "unknown key \"redis.hosts[0].sentinel_kwargs.passwort\""
        ),
    ])
    func `What is wrong is named, and no password shown`(entry: String, start: String) {
        let said = message(entry)
        #expect(said.hasPrefix(start), "\(said)")
        #expect(!said.contains("Tr0ub4dor"))
    }

    @Test func `The environment can say it all in a URL`() throws {
        let url = "redis+sentinel://a:1,b:2/m/1"
        #expect(try hosts("\"redis://file\"", ["TOCSIN_REDIS": url]) == url)
        #expect(try hosts("\"redis://file\"", ["TOCSIN_REDIS_HOSTS": url]) == url)
    }

    @Test func `Several are kept in their order, which is the ring's`() throws {
        #expect(try hosts("\"redis://b\", [a, 1]") == "redis://b:6379/3 redis://a:1/3")
        let configuration = try Configuration(
            yaml: "redis: { hosts: [\"redis://a/1\", \"redis://b/2\"] }\ngateway: { demo_page: true }", environment: [:]
        )
        #expect(configuration.keys(shard: 0).database == 1 && configuration.keys(shard: 1).database == 2)
        let group = try GroupName("42isInsufficient")
        #expect(configuration.redis.router[group] == 1)
        // One command cannot be right for all groups.
        #expect(throws: ConfigurationError.self) { try configuration.demoCommand }
        let many = (0..<65).map { "\"redis://h/\($0)\"" }.joined(separator: ", ")
        #expect(message(many).hasPrefix("redis.hosts (line 1) must name 1 to 64 Redis, not 65"))
    }

    @Test func `A page that shows redis-cli wants an address that it can be given`() throws {
        let yaml = "redis: { hosts: [{ master_name: m, sentinels: [a] }] }"
        let error = #expect(throws: ConfigurationError.self) {
            try Configuration(yaml: yaml, environment: [:]).demoCommand
        }
        #expect(error?.description.hasPrefix("gateway.demo_redis is missing") == true)
        let configuration = try Configuration(
            yaml: yaml + "\ngateway: { demo_redis: \"redis://h\" }", environment: [:])
        #expect(try configuration.demoCommand.hasPrefix("redis-cli -h h"))
    }
}
