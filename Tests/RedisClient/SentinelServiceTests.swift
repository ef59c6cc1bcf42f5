import NIOCore
import Testing

@testable import RedisClient

/// The URL of a service, and what Sentinels and servers say.
struct SentinelServiceTests {
    @Test(arguments: [
        ("redis+sentinel://s1/mymaster", "redis+sentinel://s1:26379/mymaster/3"),
        ("redis+sentinel://s1:1,s2:2,s3/main/0", "redis+sentinel://s1:1,s2:2,s3:26379/main/0"),
        ("redis+sentinel://s1/mymaster/", "redis+sentinel://s1:26379/mymaster/3"),
        ("redis+sentinel://s1/mymaster?db=5", "redis+sentinel://s1:26379/mymaster/5"),
        ("redis+sentinel://app:Tr0ub4dor@s1/m", "redis+sentinel://app@s1:26379/m/3"),
        ("redis+sentinel://:Tr0ub4dor@s1/m", "redis+sentinel://***@s1:26379/m/3"),
        ("rediss+sentinel://[::1]:7,[fd00::2]/m/1", "rediss+sentinel://[::1]:7,[fd00::2]:26379/m/1"),
        ("REDIS+SENTINEL://s1/m", "redis+sentinel://s1:26379/m/3"),
    ])
    func `A URL is read, and shown without its password`(text: String, shown: String) throws {
        #expect(try "\(RedisHost(text))" == shown)
    }

    @Test func `Logins of servers and of Sentinels are separate`() throws {
        let service = try SentinelService(
            "redis+sentinel://a%40b:p%2Fw@s1/m/2?sentinel_user=watch&sentinel_password=s%26t")
        #expect(service.user == "a@b" && service.password == "p/w" && service.database == 2)
        #expect(service.sentinelUser == "watch" && service.sentinelPassword == "s&t")
        #expect(!service.isEncrypted && !service.sentinelsAreEncrypted)
        let endpoint = try #require(RedisEndpoint(host: "10.0.0.7", port: 6380))
        #expect(service.address(of: endpoint) == (try RedisAddress("redis://a%40b:p%2Fw@10.0.0.7:6380/2")))
        #expect("\(service.sentinelAddress(0))" == "redis://watch@s1:26379/0")
    }

    @Test func `rediss+sentinel is TLS for servers and Sentinels`() throws {
        let host = try RedisHost("rediss+sentinel://s1/m")
        #expect(host.isEncrypted && host.needsTLS)
        #expect(try !RedisHost("redis+sentinel://s1/m").needsTLS)
    }

    @Test(arguments: [
        "redis+sentinel:s1/m", "redis+sentinel://s1", "redis+sentinel://s1/", "redis+sentinel:///m",
        "redis+sentinel://s1,,s2/m", "redis+sentinel://s1:0/m", "redis+sentinel://s1:x/m",
        "redis+sentinel://s1/m/x", "redis+sentinel://s1/m/3/4", "redis+sentinel://s1/m?db=x",
        "redis+sentinel://s1/m?password=Tr0ub4dor", "redis+sentinel://u:Tr0ub4dor@s1:99999/m",
        "redis+sentinel://s1/a%20b",
    ])
    func `What is no such URL is refused, without a secret`(text: String) {
        let error = #expect(throws: RedisError.self) { try RedisHost(text) }
        #expect(error?.code == .badAddress)
        #expect(error?.message.contains("write redis+sentinel://") == true)
        #expect(error?.message.contains("Tr0ub4dor") == false)
    }

    @Test func `An answer is an address, or something that is said`() throws {
        func answer(_ words: String...) -> Result<RedisValue, any Error> {
            .success(.array(words.map { .string(ByteBuffer(string: $0)) }))
        }
        func event(_ result: Result<RedisValue, any Error>) -> SentinelDiscovery.Event {
            SentinelLocator.event(result, masterName: "m")
        }
        #expect(event(answer("10.0.0.1", "6379")) == .named(try #require(RedisEndpoint(host: "10.0.0.1", port: 6379))))
        #expect(event(answer("::1", "1")) == .named(try #require(RedisEndpoint(host: "::1", port: 1))))
        #expect(event(.success(.null)) == .failed("knows no master named m"))
        for words in [
            ["10.0.0.1"], ["", "1"], ["a b", "1"], ["h", "0"], ["h", "65536"], ["h", "x"], ["h", "1", "2"],
        ] {
            let reply = RedisValue.array(words.map { .string(ByteBuffer(string: $0)) })
            #expect(event(.success(reply)) == .failed("answers something that is no address"))
        }
        #expect(event(.success(.integer(1))) == .failed("answers something that is no address"))
        let long = RedisError(.server, String(repeating: "x", count: 10_000))
        guard case .failed(let words) = event(.failure(long)) else { return #expect(Bool(false)) }
        #expect(words.count == 300)
    }

    @Test(arguments: [
        ("mymaster 10.0.0.1 1 10.0.0.2 2", true), ("other 10.0.0.1 1 10.0.0.2 2", false), ("mymaster", false),
        ("mymaster 10.0.0.1 x 10.0.0.2 2", false), ("mymaster 10.0.0.1 1 10.0.0.2 2 3", false), ("", false),
    ])
    func `An announcement is about one master`(text: String, isOurs: Bool) {
        let found = SentinelWatch.announcement(ByteBuffer(string: text), of: "mymaster")
        #expect((found != nil) == isOurs)
        if isOurs { #expect(found?.from.port == 1 && found?.to.description == "10.0.0.2:2") }
    }

    @Test func `ROLE says what a server is`() throws {
        let address = try RedisAddress("redis://10.0.0.1")
        func problem(_ words: RedisValue...) -> String? {
            RedisConnection.problem(withRole: .array(words), at: address)?.message
        }
        func text(_ text: String) -> RedisValue { .string(ByteBuffer(string: text)) }
        #expect(problem(text("master"), .integer(7), .array([])) == nil)
        #expect(
            problem(text("slave"), text("10.0.0.2"), .integer(6379), text("connected"), .integer(7))
                == "redis://10.0.0.1:6379/3 is a replica of 10.0.0.2:6379, not a primary")
        #expect(problem(text("sentinel"), .array([]))?.contains("not a primary") == true)
        #expect(problem() != nil)
    }

    @Test(arguments: [
        ("h", "h:26379"), ("h:1", "h:1"), ("[::1]", "[::1]:26379"), ("[::1]:1", "[::1]:1"),
        ("10.0.0.1:65535", "10.0.0.1:65535"),
    ])
    func `A place is host and port`(text: String, shown: String) {
        #expect(RedisEndpoint(text, defaultPort: 26379)?.description == shown)
    }

    @Test(arguments: ["", ":1", "h:", "h:x", "h:0", "h:65536", "h:1:2", "[::1", "[::1]x", "a b", "h\n"])
    func `What is no place is none`(text: String) {
        #expect(RedisEndpoint(text, defaultPort: 26379) == nil)
    }
}
