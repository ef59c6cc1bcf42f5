import Broker
import ChannelLayer
import Gateway
import Logging
import NIOCore
import RedisClient
import Testing

@testable import tocsin

/// The environment overrides the file.
struct EnvironmentTests {
    private func read(_ yaml: String, _ environment: [String: String]) throws -> Configuration {
        try Configuration(yaml: yaml, environment: environment)
    }

    @Test func `A path in capitals beats the file`() throws {
        let yaml =
            "redis: { prefix: file }\ngateway: { bind: \"1.1.1.1:1\", max_connections: 1, demo_page: true }\nlog: { level: error }"
        let configuration = try read(
            yaml,
            [
                "TOCSIN_REDIS_PREFIX": "environment", "TOCSIN_GATEWAY_BIND": "2.2.2.2:2",
                "TOCSIN_GATEWAY_MAX_CONNECTIONS": "2",
                "TOCSIN_GATEWAY_DEMO_PAGE": "false", "TOCSIN_LOG_LEVEL": "debug", "TOCSIN_REDIS_COMMAND_TIMEOUT": "5s",
            ])
        #expect(configuration.redis.prefix == "environment")
        #expect(configuration.redis.commandTimeout == .seconds(5))
        #expect(configuration.gateway.bind == HostAndPort(host: "2.2.2.2", port: 2))
        #expect(configuration.gateway.maximumConnections == 2)
        #expect(!configuration.gateway.demoPage)
        #expect(configuration.log.level == .debug)
    }

    @Test func `The demo page's Redis may come from it, as in a container`() throws {
        let gateway = try read(
            "gateway: { demo_page: true }", ["TOCSIN_GATEWAY_DEMO_REDIS": "redis://127.0.0.1:6390/3"]
        )
        .gateway
        #expect(gateway.demoRedis.map { "\($0)" } == "redis://127.0.0.1:6390/3")
    }

    @Test func `It stands alone, without a section in the file`() throws {
        #expect(try read("", ["TOCSIN_GATEWAY_THREADS": "4"]).gateway.threads == 4)
    }

    @Test func `A key of a mapping inside a section has its path in capitals, too`() throws {
        let gateway = try read(
            "gateway: { compression: { enabled: false, level: 1 } }",
            ["TOCSIN_GATEWAY_COMPRESSION_ENABLED": "true", "TOCSIN_GATEWAY_COMPRESSION_WINDOW_BITS": "12"]
        ).gateway
        #expect(gateway.compression.isEnabled && gateway.compression.level == 1)
        #expect(gateway.compression.windowBits == 12)
    }

    @Test func `A list is separated by commas, and spaces around its items do not count`() throws {
        let hosts = { (text: String) in try read("", ["TOCSIN_GATEWAY_ALLOWED_HOSTS": text]).gateway.allowedHosts }
        #expect(try hosts("example.com") == AllowedHosts(["example.com"]))
        #expect(try hosts("a.example,b.example") == AllowedHosts(["a.example", "b.example"]))
        #expect(
            try hosts(" a.example , b.example ,, c.example ") == AllowedHosts(["a.example", "b.example", "c.example"]))
        #expect(try hosts("") == AllowedHosts([]))
    }

    @Test func `TOCSIN_REDIS names the Redis, before all others`() throws {
        let environment = ["TOCSIN_REDIS": "redis://short", "TOCSIN_REDIS_HOSTS": "redis://long"]
        #expect(try read("redis: { hosts: [redis://file] }", environment).redis.hosts == [RedisHost("redis://short")])
        #expect(
            try read("redis: { hosts: [redis://file] }", ["TOCSIN_REDIS_HOSTS": "redis://long"]).redis.hosts == [
                RedisHost("redis://long")
            ])
        // It also overrides a file with several hosts.
        #expect(
            try read("redis: { hosts: [redis://a, redis://b] }", ["TOCSIN_REDIS": "redis://c"]).redis.hosts == [
                RedisHost("redis://c")
            ])
    }

    @Test(arguments: [
        ("TOCSIN_GATEWAY_BINDS", "the environment's TOCSIN_GATEWAY_BINDS names no key of gateway"),
        (
            "TOCSIN_GATEWAY_COMPRESSION_LEVELS",
            "the environment's TOCSIN_GATEWAY_COMPRESSION_LEVELS names no key of gateway.compression"
        ),
        ("TOCSIN_GATEWAY_COMPRESSION", "the environment's TOCSIN_GATEWAY_COMPRESSION names no key of gateway"),
        ("TOCSIN_REDIS_URL", "the environment's TOCSIN_REDIS_URL names no key of redis"),
        ("TOCSIN_LOG_COLOUR", "the environment's TOCSIN_LOG_COLOUR names no key of log"),
        ("TOCSIN_GATEWAY_", "the environment's TOCSIN_GATEWAY_ names no key of gateway"),
    ])
    func `A variable that names no key stops the start`(name: String, message: String) {
        #expect(throws: ConfigurationError(message)) { try read("", [name: "x"]) }
    }

    @Test(arguments: [
        ("TOCSIN_REDIS_SERVICE_HOST", "10.0.0.7"), ("TOCSIN_REDIS_SERVICE_PORT", "6379"),
        ("TOCSIN_REDIS_SERVICE_PORT_REDIS", "6379"), ("TOCSIN_REDIS_PORT", "tcp://10.0.0.7:6379"),
        ("TOCSIN_REDIS_PORT_6379_TCP", "tcp://10.0.0.7:6379"), ("TOCSIN_REDIS_PORT_6379_TCP_PROTO", "tcp"),
        ("TOCSIN_REDIS_PORT_6379_TCP_PORT", "6379"), ("TOCSIN_REDIS_PORT_6379_TCP_ADDR", "10.0.0.7"),
        ("TOCSIN_REDIS_PORT_7000_TCP_START", "tcp://10.0.0.7:7000"), ("TOCSIN_REDIS_PORT_7000_TCP_END", "x"),
        ("TOCSIN_REDIS_HEADLESS_SERVICE_HOST", "10.0.0.7"), ("TOCSIN_GATEWAY_PORT", "udp://[fd00::7]:80"),
        ("TOCSIN_GATEWAY_PORT_80_SCTP", "sctp://10.0.0.8:80"), ("TOCSIN_GATEWAY_TLS_SERVICE_PORT_HTTPS", "443"),
        ("TOCSIN_LOG_PORT", "udp://10.0.0.9:514"), ("TOCSIN_AUTH_SITE_PORT", "tcp://10.0.0.9:80"),
        ("TOCSIN_REDIS_NAME", "/web/redis"), ("TOCSIN_REDIS_1_NAME", "/web/redis_1"),
    ])
    func `What Kubernetes and Docker write for a service of that name is nobody's setting`(name: String, value: String)
    {
        #expect(throws: Never.self) { try read("", [name: value]) }
    }

    @Test(arguments: [
        ("TOCSIN_GATEWAY_PORT", "8080"), ("TOCSIN_REDIS_PORT", "6379"), ("TOCSIN_REDIS_PORT", "redis://10.0.0.7:6379"),
        ("TOCSIN_REDIS_NAME", "tocsin"), ("TOCSIN_REDIS_NAME", "/redis"), ("TOCSIN_REDIS_ENV_VERSION", "7"),
        ("TOCSIN_REDIS_PORT_TCP", "tcp://10.0.0.7:6379"), ("TOCSIN_REDIS_PORT_6379_TCP_HOST", "10.0.0.7"),
        ("TOCSIN_REDIS_SERVICE", "10.0.0.7"), ("TOCSIN_REDIS_HOST", "10.0.0.7"),
    ])
    func `What only looks like it stops the start`(name: String, value: String) {
        #expect(throws: ConfigurationError("the environment's \(name) names no key of \(section(name))")) {
            try read("", [name: value])
        }
    }

    private func section(_ name: String) -> String { name.hasPrefix("TOCSIN_REDIS") ? "redis" : "gateway" }

    @Test func `What a linked container has in its environment goes with its name`() throws {
        let link = ["TOCSIN_REDIS_NAME": "/web/redis", "TOCSIN_REDIS_ENV_REDIS_VERSION": "7.2"]
        #expect(throws: Never.self) { try read("", link) }
        #expect(throws: ConfigurationError.self) { try read("", link.filter { $0.key != "TOCSIN_REDIS_NAME" }) }
    }

    @Test func `A variable that is a key is one, whatever it looks like`() throws {
        let login = ["TOCSIN_AUTH_PORT_URL": "http://site/", "TOCSIN_AUTH_PORT_KIND": "callback"]
        #expect(throws: Never.self) { try read("auth: { port: { kind: callback, url: \"http://other/\" } }", login) }
    }

    @Test func `A bad value in the environment names the key`() {
        let error = #expect(throws: ConfigurationError.self) {
            try read("", ["TOCSIN_GATEWAY_MAX_CONNECTIONS": "many"])
        }
        #expect(error?.description.hasPrefix("gateway.max_connections must be a whole number") == true)
    }

    @Test func `Other programs' variables are theirs`() throws {
        #expect(throws: Never.self) {
            try read("", ["PATH": "/bin", "TOCSINX": "1", "tocsin_gateway_bind": "x", "GATEWAY_BIND": "x"])
        }
    }

    @Test func `Routes and groups have no variables`() throws {
        let yaml = "routes: [{ path: /a, groups: [a] }]"
        #expect(try read(yaml, ["TOCSIN_ROUTES[0]_PATH": "/b"]).routes.first?.path.text == "/a")
    }
}

struct HostAndPortTests {
    @Test(arguments: [
        ("127.0.0.1:8080", "127.0.0.1", 8080), ("localhost:0", "localhost", 0), (":9090", "0.0.0.0", 9090),
        ("[::1]:65535", "::1", 65535),
        ("[fe80::1%eth0]:1", "fe80::1%eth0", 1), ("a.b-c:80", "a.b-c", 80),
    ])
    func `Host and port are read, and written the same`(text: String, host: String, port: Int) throws {
        let address = try #require(HostAndPort(text))
        #expect(address == HostAndPort(host: host, port: port))
        #expect(address.description == (text.hasPrefix(":") ? "0.0.0.0\(text)" : text))
    }

    @Test(arguments: [
        "", ":", "host", "host:", "host:port", "host:-1", "host:65536", "::1:80", "::1", "[::1]", "[::1]80", "host:8 0",
        "host: 80",
    ])
    func `What is none is none`(text: String) {
        #expect(HostAndPort(text) == nil)
    }
}
