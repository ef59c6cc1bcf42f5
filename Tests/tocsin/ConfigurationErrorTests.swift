import ChannelLayer
import Testing

@testable import tocsin

/// Configuration errors, which prevent the start, and name their cause.
struct ConfigurationErrorTests {
    private func message(_ yaml: String, _ environment: [String: String] = [:]) -> String {
        do {
            _ = try Configuration(yaml: yaml, environment: environment)
            return "nothing was wrong"
        } catch {
            return error.description
        }
    }

    /// The file, and the beginning of the message: the key and its line.
    private static let wrong: [(String, String)] = [
        ("redis: 5", "redis (line 1) must be a mapping"), ("redis: [a]", "redis (line 1) must be a mapping"),
        ("gateway: text", "gateway (line 1) must be a mapping"),
        ("- a", "the configuration (line 1) must be a mapping"),
        ("redis: { hosts: [] }", "redis.hosts (line 1)"),
        ("redis:\n  hosts: http://a", "redis.hosts (line 2)"),
        ("redis: { hosts: { a: b } }", "redis.hosts (line 1) must be a list"),
        ("redis: { hosts: [[a]] }", "redis.hosts (line 1) has a list that is not [host, port]"),
        ("redis: { prefix: \"\" }", "redis.prefix (line 1)"), ("redis: { prefix: \"a b\" }", "redis.prefix (line 1)"),
        ("redis: { prefix: é }", "redis.prefix (line 1)"),
        ("redis: { encryption_keys: [x, ''] }", "redis.encryption_keys (line 1) must not hold an empty key"),
        ("redis: { encryption_keys: [x], encryption_keys_file: /k }", "redis.encryption_keys_file (line 1)"),
        ("redis: { group_expiry: 0 }", "redis.group_expiry (line 1)"),
        ("redis: { group_expiry: 1.5 }", "redis.group_expiry (line 1)"),
        ("redis: { refresh_seconds: -1 }", "redis.refresh_seconds (line 1)"),
        ("redis: { command_timeout: 0s }", "redis.command_timeout (line 1)"),
        ("redis: { command_timeout: soon }", "redis.command_timeout (line 1)"),
        ("redis: { command_timeout: 3 s }", "redis.command_timeout (line 1)"),
        ("redis: { command_timeout: -3s }", "redis.command_timeout (line 1)"),
        ("redis: { command_timeout: ms }", "redis.command_timeout (line 1)"),
        ("redis: { command_timeout: 9223372036854775807d }", "redis.command_timeout (line 1)"),
        ("redis: { ca_file: [a] }", "redis.ca_file (line 1)"),
        ("groups: [{ match: '{user}{user}' }]", "groups[0].match (line 1) names {user} twice"),
        ("groups: [{ match: a, inbox: true, receipts: false }]", "groups[0].receipts (line 1) is false"),
        ("groups: [{ match: a, inbox: true, history: { size: 0 } }]", "groups[0].inbox (line 1) needs a history"),
        ("groups: [{ match: a, inbox: true, escalate: { unless: read } }]", "groups[0].escalate.after"),
        ("groups: [{ match: a, escalate: { after: 5m } }]", "groups[0].escalate.after (line 1) needs receipts"),
        ("groups: [{ match: a, receipts: true, escalate: { after: 0s } }]", "groups[0].escalate.after (line 1)"),
        (
            "groups: [{ match: a, receipts: true, escalate: { after: 5m, unless: read } }]",
            "groups[0].escalate.unless (line 1) is read"
        ),
        (
            "groups: [{ match: a, inbox: true, escalate: { after: 5m, unless: seen } }]",
            "groups[0].escalate.unless (line 1) must be delivered or read"
        ),
        (
            "groups: [{ match: a, inbox: true, escalate: { after: 5m, to: [site] } }]",
            "groups[0].escalate.to (line 1) names \"site\""
        ),
        ("gateway:\n\n  bind: 8080", "gateway.bind (line 3) must be HOST:PORT, not \"8080\""),
        ("gateway: { bind: \"a:99999\" }", "gateway.bind (line 1)"),
        ("gateway: { admin: [a] }", "gateway.admin (line 1) must be a single value"),
        ("gateway: { id: \"\" }", "gateway.id (line 1)"),
        ("gateway: { id: \"a b\" }", "gateway.id (line 1)"),
        ("gateway: { id: \(String(repeating: "x", count: 41)) }", "gateway.id (line 1)"),
        (
            "gateway: { max_connections: 0 }",
            "gateway.max_connections (line 1) must be a whole number from 1 to 10000000, not \"0\""
        ),
        ("gateway: { max_connections: many }", "gateway.max_connections (line 1)"),
        ("gateway: { max_message_bytes: 16777217 }", "gateway.max_message_bytes (line 1)"),
        ("gateway: { max_fragments: 0 }", "gateway.max_fragments (line 1)"),
        ("gateway: { compression: true }", "gateway.compression (line 1) must be a mapping"),
        ("gateway: { compression: { enabled: maybe } }", "gateway.compression.enabled (line 1) must be true or false"),
        ("gateway: { compression: { threshold: -1 } }", "gateway.compression.threshold (line 1)"),
        ("gateway: { compression: { threshold: 1KiB } }", "gateway.compression.threshold (line 1)"),
        ("gateway: { compression: { level: 0 } }", "gateway.compression.level (line 1)"),
        ("gateway: { compression: { level: 10 } }", "gateway.compression.level (line 1)"),
        ("gateway: { compression: { window_bits: 8 } }", "gateway.compression.window_bits (line 1)"),
        ("gateway: { compression: { window_bits: 16 } }", "gateway.compression.window_bits (line 1)"),
        ("gateway: { compression: { enable: true } }", "unknown key \"gateway.compression.enable\""),
        ("gateway: { drain_seconds: 3601 }", "gateway.drain_seconds (line 1)"),
        ("gateway: { ping_seconds: 61 }", "gateway.ping_seconds (line 1)"),
        ("gateway: { pong_seconds: 0 }", "gateway.pong_seconds (line 1)"),
        ("gateway: { tls: true }", "gateway.tls (line 1) must be a mapping"),
        ("gateway: { tls: { key_file: k } }", "gateway.tls.certificate_file is missing"),
        ("gateway: { tls: { certificate_file: c } }", "gateway.tls.key_file is missing"),
        ("gateway: { tls: { minimum_version: \"1.3\" } }", "gateway.tls.certificate_file is missing"),
        (
            "gateway: { tls: { certificate_file: c, key_file: k, minimum_version: 1.1 } }",
            "gateway.tls.minimum_version (line 1) must be \"1.2\" or \"1.3\", not \"1.1\""
        ),
        ("gateway: { tls: { certificate: c } }", "unknown key \"gateway.tls.certificate\""),
        ("gateway: { proxy_protocol: true }", "gateway.trusted_proxies is missing: who may send"),
        ("gateway: { trusted_proxies: [x] }", "gateway.trusted_proxies (line 1) : \"x\" is not a network"),
        ("redis: { tls: { certificate_file: c } }", "redis.tls.key_file is missing"),
        ("redis: { tls: { key_file: k } }", "redis.tls.certificate_file is missing"),
        ("redis: { tls: { server_name: \"\" } }", "redis.tls.server_name (line 1)"),
        ("redis: { ca_file: a, tls: { ca_file: b } }", "redis.ca_file (line 1) is set twice"),
        ("gateway: { threads: 0 }", "gateway.threads (line 1)"),
        (
            "gateway: { demo_redis: \"http://h\" }",
            "gateway.demo_redis (line 1) : the Redis address starts with \"http\"; write redis://host:port/3, rediss://host:port/3 or unix:///path?db=3"
        ),
        ("gateway: { demo_page: maybe }", "gateway.demo_page (line 1) must be true or false, not \"maybe\""),
        ("auth: [a]", "auth (line 1) must be a mapping of names"),
        ("auth: { a: b }", "auth.a (line 1) must be a mapping"),
        ("auth:\n  a: {}", "auth.a.kind"),
        (
            "auth: { a: { kind: magic } }",
            "auth.a.kind (line 1) must be callback, jwt, django_session or header, not \"magic\""
        ),
        ("auth: { a: { kind: callback } }", "auth.a.url"),
        ("auth: { a: { kind: callback, url: ftp://x } }", "auth.a.url (line 1)"),
        ("auth: { a: { kind: callback, url: http://x, timeout: 11s } }", "auth.a.timeout (line 1)"),
        ("auth: { a: { kind: callback, url: http://x, timeout: 0 } }", "auth.a.timeout (line 1)"),
        ("auth: { a: { kind: callback, url: http://x, cache: -1 } }", "auth.a.cache (line 1)"),
        ("auth: { a: { kind: header } }", "auth.a.header"),
        ("auth: { a: { kind: header, header: H } }", "auth.a.trusted"),
        ("auth: { a: { kind: header, header: H, trusted: [x] } }", "auth.a.trusted (line 1)"),
        (
            "auth: { a: { kind: header, header: H, trusted: [10.0.0.0/8], url: x } }",
            "unknown key \"auth.a.url\" (line 1)"
        ),
        ("routes: { a: b }", "routes (line 1) must be a list"), ("routes: [a]", "routes[0] (line 1) must be a mapping"),
        ("routes: [{}]", "routes[0].path is missing"),
        ("routes:\n  - { path: /a, groups: [a] }\n  - { path: /b }", "routes[1].groups is missing"),
        ("routes: [{ path: a, groups: [a] }]", "routes[0].path (line 1)"),
        ("routes: [{ path: /a, groups: [\"{user}\"] }]", "routes[0].path (line 1)"),
        ("routes: [{ path: /a, groups: [\"a b\"] }]", "routes[0].path (line 1)"),
        (
            "routes: [{ path: /a, groups: [a], auth: site }]",
            "routes[0].auth (line 1) names \"site\", which auth: does not have (it has: nothing)"
        ),
        ("routes: [{ path: /a, groups: [a], receive: forward }]", "routes[0].receive (line 1)"),
        ("routes: [{ path: /a, groups: [a], protocol: smtp }]", "routes[0].protocol (line 1)"),
        (
            "routes: [{ path: /a, groups: [a], subprotocols: [chat.v1, \"chat v2\"] }]",
            "routes[0].subprotocols (line 1) names \"chat v2\", which no client can offer"
        ),
        ("routes: [{ path: /a, groups: [a], subprotocols: [\"\"] }]", "routes[0].subprotocols (line 1) names \"\""),
        (
            "routes: [{ path: /a, groups: [a], subprotocols: [\"a,b\"] }]",
            "routes[0].subprotocols (line 1) names \"a,b\""
        ),
        ("routes: [{ path: /a, groups: [a], subprotocols: [é] }]", "routes[0].subprotocols (line 1) names \"é\""),
        (
            "routes: [{ path: /a, groups: [a], subprotocols: bearer.x }]",
            "routes[0].subprotocols (line 1) names something that begins with \"bearer.\""
        ),
        (
            "routes: [{ path: /a, groups: [a], subprotocols: [tocsin.v9] }]",
            "routes[0].subprotocols (line 1) names \"tocsin.v9\": names that begin with \"tocsin.\" are"
        ),
        (
            "routes: [{ path: /a, protocol: centrifuge, subprotocols: [centrifuge-protobuf] }]",
            "routes[0].subprotocols (line 1) names \"centrifuge-protobuf\", which is not spoken here"
        ),
        ("routes: [{ path: /a, groups: [a], subprotocols: { a: b } }]", "routes[0].subprotocols (line 1) must be"),
        ("groups: [{}]", "groups[0].match is missing"),
        ("groups: [{ match: a, history: 5 }]", "groups[0].history (line 1) must be a mapping"),
        ("groups: [{ match: a, history: { size: -1 } }]", "groups[0].history.size (line 1)"),
        ("groups: [{ match: a, history: { ttl: 999ms } }]", "groups[0].history.ttl (line 1)"),
        ("groups: [{ match: a, history: { ttl: 3651d } }]", "groups[0].history.ttl (line 1)"),
        ("groups: [{ match: a, history: { keep: 1 } }]", "unknown key \"groups[0].history.keep\" (line 1)"),
        ("log: { level: loud }", "log.level (line 1) must be one of trace, debug, info"),
        ("log: { format: xml }", "log.format (line 1) must be auto, text or json, not \"xml\""),
    ]

    @Test(arguments: wrong.indices)
    func `What is wrong names its key and its line`(index: Int) {
        let (yaml, beginning) = Self.wrong[index]
        #expect(message(yaml).hasPrefix(beginning), "\(message(yaml))")
    }

    @Test(arguments: [
        (
            "gateway: { max_conections: 5 }",
            "unknown key \"gateway.max_conections\" (line 1); did you mean \"max_connections\"?"
        ),
        ("gateways: {}", "unknown key \"gateways\" (line 1); did you mean \"gateway\"?"),
        ("redis:\n  host: redis://a", "unknown key \"redis.host\" (line 2); did you mean \"hosts\"?"),
        ("log:\n  colour: red", "unknown key \"log.colour\" (line 2); known here: format, level"),
        (
            "routes: [{ path: /a, groups: [a], recieve: echo }]",
            "unknown key \"routes[0].recieve\" (line 1); did you mean \"receive\"?"
        ),
        ("5: a", "unknown key \"5\" (line 1)"), ("[a]: b", "unknown key \"?\" (line 1)"),
    ])
    func `An unknown key is named, with what was meant or what there is`(yaml: String, beginning: String) {
        #expect(message(yaml).hasPrefix(beginning), "\(message(yaml))")
    }

    @Test(arguments: ["redis: {", "redis: [", "a: b: c", "\tredis: {}", "redis: {}\nredis: {}", "\"", "@a"])
    func `What is no YAML is said to be none`(yaml: String) {
        #expect(message(yaml).hasPrefix("the configuration is not valid YAML: "), "\(message(yaml))")
    }

    @Test func `No message repeats the password of a Redis`() {
        for host in ["redis://u:Tr0ub4dor@h:port", "redis://u:Tr0ub4dor@h/x", "http://u:Tr0ub4dor@h"] {
            #expect(!message("redis: { hosts: [\"\(host)\"] }").contains("Tr0ub4dor"))
            #expect(!message("", ["TOCSIN_REDIS": host]).contains("Tr0ub4dor"))
        }
    }
}
