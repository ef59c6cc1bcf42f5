import RedisClient
import Testing

@testable import tocsin

/// The command that a person is told to type.
struct RedisCLITests {
    @Test(arguments: [
        ("redis://127.0.0.1:6379/3", "redis-cli -n 3"), ("redis://127.0.0.1:6390", "redis-cli -p 6390 -n 3"),
        ("redis://localhost:6390/0", "redis-cli -p 6390 -n 0"), ("redis://redis", "redis-cli -h redis -n 3"),
        ("redis://[::1]:7000", "redis-cli -h ::1 -p 7000 -n 3"),
        ("redis://:Tr0ub4dor@redis:1/2", "redis-cli -h redis -p 1 --askpass -n 2"),
        ("rediss://app:Tr0ub4dor@redis", "redis-cli -h redis --tls --user app --askpass -n 3"),
        ("redis://app@127.0.0.1", "redis-cli --user app -n 3"),
        ("unix:///run/redis.sock?db=5", "redis-cli -s /run/redis.sock -n 5"),
    ])
    func `An address becomes the words of redis-cli, without the password`(url: String, words: String) throws {
        #expect(try RedisCLI.words(RedisAddress(url)).joined(separator: " ") == words)
    }

    @Test func `The command ends where the group's name begins`() throws {
        let address = try RedisAddress("redis://127.0.0.1:6390/3")
        #expect(
            try RedisCLI.sending(to: address, prefix: "asgi") == "redis-cli -p 6390 -n 3 FCALL group_send 1 asgi:group:"
        )
        let configuration = try Configuration(yaml: "redis: { prefix: mine, hosts: [\"redis://h\"] }", environment: [:])
        #expect(try configuration.demoCommand == "redis-cli -h h -n 3 FCALL group_send 1 mine:group:")
    }

    @Test(arguments: [
        ("asgi:group:", "asgi:group:"), ("/run/a b.sock", "'/run/a b.sock'"), ("$HOME;id", "'$HOME;id'"),
        ("it's", #"'it'\''s'"#), ("", "''"), ("\u{e9}", "'\u{e9}'"),
    ])
    func `What a shell would read differently is in quotation marks`(word: String, quoted: String) {
        #expect(RedisCLI.quoted(word) == quoted)
    }
}
