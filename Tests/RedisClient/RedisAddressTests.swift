import Testing

@testable import RedisClient

struct RedisAddressTests {
    private static let good: [(String, RedisAddress.Transport, user: String?, password: String?, database: Int)] = [
        ("redis://127.0.0.1", .tcp(host: "127.0.0.1", port: 6379), nil, nil, 3),
        ("redis://127.0.0.1:6380", .tcp(host: "127.0.0.1", port: 6380), nil, nil, 3),
        ("redis://redis.example.com:6380/0", .tcp(host: "redis.example.com", port: 6380), nil, nil, 0),
        ("redis://host/", .tcp(host: "host", port: 6379), nil, nil, 3),
        ("REDIS://host/12", .tcp(host: "host", port: 6379), nil, nil, 12),
        ("redis://host:65535/3?db=7", .tcp(host: "host", port: 65535), nil, nil, 7),
        ("redis://[::1]:7000/1", .tcp(host: "::1", port: 7000), nil, nil, 1),
        ("redis://:secret@host", .tcp(host: "host", port: 6379), nil, "secret", 3),
        ("redis://gateway:secret@host:1/2", .tcp(host: "host", port: 1), "gateway", "secret", 2),
        ("redis://gateway:p%40ss%3A%2Fw%25rd@host", .tcp(host: "host", port: 6379), "gateway", "p@ss:/w%rd", 3),
        ("redis://gateway@host", .tcp(host: "host", port: 6379), "gateway", nil, 3),
        ("rediss://u:p@host:6390/4", .tls(host: "host", port: 6390), "u", "p", 4),
        ("rediss://host", .tls(host: "host", port: 6379), nil, nil, 3),
        ("unix:///run/redis.sock", .unix(path: "/run/redis.sock"), nil, nil, 3),
        ("unix:///run/redis.sock?db=5", .unix(path: "/run/redis.sock"), nil, nil, 5),
        ("unix://u:p@/run/a%20b.sock?db=0", .unix(path: "/run/a b.sock"), "u", "p", 0),
    ]

    @Test(arguments: good.indices)
    func `Every form of an address is read`(index: Int) throws {
        let (text, transport, user, password, database) = Self.good[index]
        let address = try RedisAddress(text)
        #expect(address.transport == transport)
        #expect(address.user == user)
        #expect(address.password == password)
        #expect(address.database == database)
    }

    @Test(arguments: [
        "", "nonsense", "host:6379", "//host", "http://host", "redis:/host", "redis://", "redis://:6379",
        "redis://host:0",
        "redis://host:65536", "redis://host:port", "redis://host/three", "redis://host/-1", "redis://host/3/4",
        "redis://host?db=", "redis://host?db=x", "redis://host?db=-2", "unix://", "unix:///run/redis.sock?db=x",
        "redis://a b", "rediss://", "unix://run/redis.sock",
    ])
    func `What is no address is refused with the three forms that are`(text: String) {
        let error = #expect(throws: RedisError.self) { try RedisAddress(text) }
        #expect(error?.code == .badAddress)
        #expect(error?.message.contains("redis://host:port/3, rediss://host:port/3 or unix:///path?db=3") == true)
    }

    @Test(arguments: [
        "redis://gateway:Tr0ub4dor@host:port", "redis://:Tr0ub4dor@host/x", "http://u:Tr0ub4dor@host",
        "redis://u:Tr0ub4dor@",
        "redis://u:Tr0ub4dor@host:70000", "unix://u:Tr0ub4dor@",
    ])
    func `No error repeats a password`(text: String) {
        let error = #expect(throws: RedisError.self) { try RedisAddress(text) }
        #expect(error?.description.contains("Tr0ub4dor") == false)
    }

    @Test(arguments: [
        ("redis://gateway:Tr0ub4dor@host:1/2", "redis://gateway@host:1/2"),
        ("redis://:Tr0ub4dor@host", "redis://***@host:6379/3"),
        ("redis://host", "redis://host:6379/3"), ("rediss://u:Tr0ub4dor@host/1", "rediss://u@host:6379/1"),
        ("unix://u:Tr0ub4dor@/a.sock?db=4", "unix://u@/a.sock?db=4"), ("unix:///a.sock", "unix:///a.sock?db=3"),
        ("redis://[::1]:7000/1", "redis://[::1]:7000/1"),
        ("rediss://u:Tr0ub4dor@[fd00::7]", "rediss://u@[fd00::7]:6379/3"),
    ])
    func `The description says all but the password`(text: String, description: String) throws {
        #expect(try RedisAddress(text).description == description)
    }

    @Test(arguments: [
        "redis://[::1]:7000/1", "rediss://gateway@[2001:db8::7]/2", "redis://host", "unix:///a.sock?db=4",
    ])
    func `What is printed is an address again, the same`(text: String) throws {
        let address = try RedisAddress(text)
        #expect(try RedisAddress(address.description) == address)
    }
}
