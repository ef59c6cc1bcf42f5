import Broker
import ChannelLayer
import Gateway
import Logging
import NIOCore
import RedisClient
import Testing

@testable import tocsin

/// Every key of the file.
struct ConfigurationTests {
    private func read(_ yaml: String, _ environment: [String: String] = [:]) throws -> Configuration {
        try Configuration(yaml: yaml, environment: environment)
    }

    @Test(arguments: [
        "", "\n", "# nothing\n", "{}", "redis:\ngateway:\nauth:\nroutes:\ngroups:\nlog:\n", "redis: {}\nroutes: []\n",
    ])
    func `Nothing said means the defaults`(yaml: String) throws {
        let configuration = try read(yaml)
        #expect(try configuration.redis.hosts == [RedisHost("redis://127.0.0.1:6379/3")])
        #expect(configuration.redis.prefix == "asgi")
        #expect(configuration.redis.groupExpiry == 86_400)
        #expect(configuration.redis.refreshInterval == nil)
        #expect(configuration.redis.commandTimeout == .seconds(2))
        #expect(configuration.redis.caFile == nil)
        #expect(configuration.gateway.bind == HostAndPort(host: "0.0.0.0", port: 8080))
        #expect(configuration.gateway.admin == HostAndPort(host: "127.0.0.1", port: 9090))
        #expect(configuration.gateway.id == nil)
        #expect(configuration.gateway.allowedHosts.isEmpty)
        #expect(configuration.gateway.maximumConnections == 100_000)
        #expect(configuration.gateway.maximumConnectionsPerAddress == 0)
        #expect(configuration.gateway.maximumConnectionsPerUser == 0)
        #expect(configuration.gateway.maximumHandshakesPerSecond == 0)
        #expect(configuration.gateway.maximumMessagesPerSecond == 100)
        #expect(configuration.gateway.maximumJoinsPerSecond == 20 && configuration.gateway.maximumGroups == 128)
        #expect(configuration.gateway.maximumMessageBytes == 65_536)
        #expect(configuration.gateway.maximumFragments == 64)
        #expect(configuration.gateway.compression == CompressionConfiguration())
        #expect(!configuration.gateway.compression.isEnabled && configuration.gateway.compression.threshold == 1024)
        #expect(configuration.gateway.compression.level == 6 && configuration.gateway.compression.windowBits == 15)
        #expect(configuration.gateway.drainSeconds == 30)
        #expect(configuration.gateway.pingSeconds == 20 && configuration.gateway.pongSeconds == 10)
        #expect(configuration.gateway.threads == nil && !configuration.gateway.demoPage)
        #expect(configuration.authentication.isEmpty && configuration.routes.isEmpty && configuration.groups.isEmpty)
        #expect(configuration.log.level == .notice && configuration.log.format == .auto)
    }

    @Test func `All replicas can be waited for, and nothing that is no number`() throws {
        #expect(try read("redis: { wait_replicas: all }").redis.waitReplicas == .all)
        for text in ["some", "17", "-1", "1.5"] {
            let error = #expect(throws: ConfigurationError.self) { try read("redis: { wait_replicas: \(text) }") }
            #expect(error?.description.contains("from 0 to 16, or all, not \"\(text)\"") == true)
        }
    }

    @Test func `Every key of redis is read`() throws {
        let redis = try read(
            """
            redis:
              hosts: ["rediss://u:p@redis.example.com:6390/5"]
              prefix: site2
              encryption_keys: []
              group_expiry: 3600
              refresh_seconds: 30
              wait_replicas: 2
              command_timeout: 750ms
              ca_file: /etc/redis-ca.pem
            """
        ).redis
        #expect(try redis.hosts == [RedisHost("rediss://u:p@redis.example.com:6390/5")])
        #expect(redis.prefix == "site2")
        #expect(redis.groupExpiry == 3600)
        #expect(redis.refreshInterval == .seconds(30))
        #expect(redis.waitReplicas == .count(2))
        #expect(redis.commandTimeout == .milliseconds(750))
        #expect(redis.caFile == "/etc/redis-ca.pem")
        #expect(try read("redis: { hosts: redis://one }").redis.hosts == [RedisHost("redis://one")])
    }

    @Test func `The admin key may be in a file, and is asked for once`() throws {
        let read = try read("gateway: { admin_key_file: /nowhere/key }")
        #expect(read.gateway.adminKeyFile == "/nowhere/key")
        let missing = #expect(throws: ConfigurationError.self) { try read.adminKey() }
        #expect(missing?.description == "gateway.admin_key_file: cannot read /nowhere/key")
        let both = #expect(throws: ConfigurationError.self) {
            try self.read("gateway: { admin_key: 0123456789abcdef, admin_key_file: /k }")
        }
        #expect(both?.description.contains("admin_key_file") == true)
        #expect(both?.description.contains("0123456789abcdef") == false)
    }

    @Test func `TLS and trusted proxies are read, from the environment too`() throws {
        let yaml = """
            redis: { tls: { ca_file: ca, certificate_file: c, key_file: k, server_name: redis.example } }
            gateway:
              tls: { certificate_file: c.pem, key_file: k.pem, client_ca_file: ca.pem, minimum_version: "1.3" }
              proxy_protocol: true
              trusted_proxies: ["10.0.0.0/8"]
            """
        let configuration = try read(yaml, ["TOCSIN_GATEWAY_TLS_KEY_FILE": "other.pem"])
        var redis = RedisTLS()
        redis.caFile = "ca"
        redis.certificateFile = "c"
        redis.keyFile = "k"
        redis.serverName = "redis.example"
        #expect(configuration.redis.tls == redis)
        var tls = TLSSettings(certificateFile: "c.pem", keyFile: "other.pem")
        tls.clientCAFile = "ca.pem"
        tls.minimumVersion = .v13
        #expect(configuration.gateway.tls == tls)
        #expect(configuration.gateway.proxyProtocol && !configuration.gateway.trustedProxies.isEmpty)
        let nothing = try read("gateway: { tls: {} }\nredis: { tls: {} }")
        #expect(nothing.gateway.tls == nil && nothing.redis.tls == nil && nothing.gateway.trustedProxies.isEmpty)
        #expect(throws: ConfigurationError.self) {
            try configuration.redisConfiguration(configuration.redis.hosts[0], clientName: "x")
        }
    }

    @Test func `Every key of gateway is read`() throws {
        let gateway = try read(
            """
            gateway:
              bind: "[::1]:8443"
              admin: ":9191"
              admin_key: 0123456789abcdef
              id: gw.1-a_B
              allowed_hosts: ["example.com", ".example.org"]
              max_connections: 1_000
              max_connections_per_address: 20
              max_connections_per_user: 5
              max_handshakes_per_second: 500
              max_messages_per_second: 0
              max_joins_per_second: 3
              max_groups: 16
              max_message_bytes: 1024
              max_fragments: 7
              max_pending_bytes: 4096
              slow_seconds: 5
              drain_seconds: 0
              ping_seconds: 25
              pong_seconds: 7
              compression: { enabled: true, threshold: 0, level: 9, window_bits: 10 }
              threads: 3
              demo_page: yes
              demo_redis: redis://127.0.0.1:6390/4
            """
        ).gateway
        #expect(gateway.bind == HostAndPort(host: "::1", port: 8443))
        #expect(gateway.admin == HostAndPort(host: "0.0.0.0", port: 9191))
        #expect(gateway.adminKey == "0123456789abcdef" && gateway.adminKeyFile == nil)
        #expect(gateway.id == "gw.1-a_B")
        #expect(gateway.allowedHosts == AllowedHosts(["example.com", ".example.org"]))
        #expect(gateway.maximumConnections == 1000)
        #expect(gateway.maximumConnectionsPerAddress == 20 && gateway.maximumConnectionsPerUser == 5)
        #expect(gateway.maximumHandshakesPerSecond == 500 && gateway.maximumMessagesPerSecond == 0)
        #expect(gateway.maximumJoinsPerSecond == 3 && gateway.maximumGroups == 16)
        #expect(gateway.maximumMessageBytes == 1024)
        #expect(gateway.maximumFragments == 7)
        #expect(gateway.maximumPendingBytes == 4096)
        #expect(gateway.slowSeconds == 5)
        #expect(gateway.drainSeconds == 0)
        #expect(gateway.pingSeconds == 25 && gateway.pongSeconds == 7)
        #expect(gateway.compression.isEnabled && gateway.compression.threshold == 0)
        #expect(gateway.compression.level == 9 && gateway.compression.windowBits == 10)
        #expect(gateway.threads == 3)
        #expect(gateway.demoPage && gateway.demoRedis?.description == "redis://127.0.0.1:6390/4")
    }

    @Test func `Every key of a login is read, and its defaults are those of the documents`() throws {
        let logins = try read(
            """
            auth:
              site: { kind: callback, url: "http://127.0.0.1:8000/ws-auth", forward: [Cookie, X-Session], timeout: 500ms, user_key: userId, cache: 0 }
              short: { kind: callback, url: "https://example.com/" }
              lb: { kind: header, header: X-Remote-User, trusted: ["10.0.0.0/8", "::1"] }
            """
        ).authentication
        #expect(Set(logins.keys) == ["site", "short", "lb"])
        guard case .callback(let site) = logins["site"], case .callback(let short) = logins["short"] else {
            Issue.record("two callbacks")
            return
        }
        #expect(site.url == "http://127.0.0.1:8000/ws-auth")
        #expect(site.forward == ["cookie", "x-session"])
        #expect(site.timeout == .milliseconds(500) && site.cache == .zero)
        #expect(site.userKey == "userId")
        #expect(short.forward == ["cookie", "authorization"])
        #expect(short.timeout == .seconds(3) && short.cache == .seconds(2))
        #expect(short.userKey == "user")
        guard case .header(let header, _) = logins["lb"] else {
            Issue.record("a header")
            return
        }
        #expect(header == "X-Remote-User")
    }

    @Test func `Every key of a route is read`() throws {
        let routes = try read(
            """
            auth: { site: { kind: callback, url: "http://x/" }, lb: { kind: header, header: H, trusted: 10.0.0.0/8 } }
            routes:
              - { path: /users/isinsufficient, auth: site, groups: ["{user}isInsufficient"], receive: echo }
              - { path: "/ws/{room}", groups: "{room}", protocol: plain, auth: none }
              - path: /both
                auth: [lb, site]
                groups: [news, "{user}"]
                receive: group_send
              - { path: /mirror, groups: [mirror], receive: mirror, subprotocols: [chat.v2, chat.v1] }
            """
        ).routes
        #expect(routes.map(\.path.text) == ["/users/isinsufficient", "/ws/{room}", "/both", "/mirror"])
        #expect(
            routes.map { $0.groups.map(\.text) } == [
                ["{user}isInsufficient"], ["{room}"], ["news", "{user}"], ["mirror"],
            ])
        #expect(routes.map(\.authentication) == [["site"], [], ["lb", "site"], []])
        #expect(routes.map(\.receive) == [.echo, .ignore, .groupSend, .mirror])
        #expect(routes.map { $0.subprotocols.map(\.text) } == [[], [], [], ["chat.v2", "chat.v1"]])
    }

    @Test func `Every key of a group's policy is read`() throws {
        let groups = try read(
            """
            groups:
              - { match: "*isInsufficient", history: { size: 1000, ttl: 7d } }
              - { match: "cursor.*", history: { size: 0 } }
              - match: "*"
            """
        ).groups
        #expect(groups.map(\.match) == ["*isInsufficient", "cursor.*", "*"])
        #expect(groups.map(\.historySize) == [1000, 0, 100])
        #expect(groups.map(\.historyTTL) == [604_800, 86_400, 86_400])
    }

    @Test(arguments: Logger.Level.allCases)
    func `Every level of the log is read, in any case`(level: Logger.Level) throws {
        let log = try read("log: { level: \(level.rawValue.uppercased()), format: JSON }").log
        #expect(log.level == level)
        #expect(log.format == .json)
    }

    @Test(
        arguments: [
            ("500ms", 500), ("3s", 3000), ("5m", 300_000), ("1h", 3_600_000), ("2", 2000), ("0s", nil), ("1ms", 1),
            ("007s", 7000),
        ] as [(String, Int64?)])
    func `Durations have a unit, or are seconds`(text: String, milliseconds: Int64?) throws {
        let timeout = try? read("redis: { command_timeout: \(text) }").redis.commandTimeout
        #expect(timeout == milliseconds.map { .milliseconds($0) })
    }

    @Test func `The example of the design is understood as far as this version goes`() throws {
        let configuration = try read(
            """
            redis:
              hosts: ["redis://127.0.0.1:6379/3"]
              prefix: asgi
              encryption_keys: []                     # symmetric_encryption_keys of the Django side
            gateway:
              bind: 0.0.0.0:8080
              admin: 127.0.0.1:9090
              allowed_hosts: ["example.com", ".example.org"]
              max_connections: 100000
              max_message_bytes: 65536
              drain_seconds: 30
            auth:
              site:   { kind: callback, url: "http://127.0.0.1:8000/ws-auth", forward: [cookie, authorization], timeout: 3s, user_key: user }
              lb:     { kind: header, header: X-Remote-User, trusted: ["10.0.0.0/8"] }
            routes:
              - { path: /users/isinsufficient, auth: site, groups: ["{user}isInsufficient"], receive: echo }
              - { path: "/ws/{room}", groups: ["{room}"] }
            groups:
              - { match: "*isInsufficient", history: { size: 1000, ttl: 7d } }
              - { match: "cursor.*", history: { size: 0 } }
            """)
        #expect(configuration.routes.count == 2)
        let settings = try configuration.gatewayConfiguration(name: "gw-1")
        #expect(settings.bind.host == "0.0.0.0" && settings.bind.port == 8080 && settings.routes.count == 2)
    }
}
