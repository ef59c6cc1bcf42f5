import Foundation
import Gateway
import NIOCore
import NIOPosix
import RedisClient
import Testing

@testable import tocsin

/// `auth:` entries of the kinds jwt and django_session.
struct LoginConfigurationTests {
    private static let secret = "a secret of thirty-two bytes or more"

    private func login(_ text: String, _ environment: [String: String] = [:]) throws -> Configuration.Authentication {
        try #require(try Configuration(yaml: "auth: { a: { \(text) } }", environment: environment).authentication["a"])
    }

    private func token(_ text: String, _ environment: [String: String] = [:]) throws -> TokenLogin {
        guard case .jwt(let login) = try login("kind: jwt, \(text)", environment) else {
            throw CommandFailure("no jwt")
        }
        return login
    }

    private func session(_ text: String, _ environment: [String: String] = [:]) throws -> SessionLogin {
        guard case .djangoSession(let login) = try login("kind: django_session, \(text)", environment) else {
            throw CommandFailure("no session")
        }
        return login
    }

    private func message(_ text: String, _ environment: [String: String] = [:]) -> String {
        do {
            _ = try login(text, environment)
            return "nothing was wrong"
        } catch { return "\(error)" }
    }

    /// A temporary file with that text, removed after the body.
    private func with<R>(_ text: String, _ body: (String) throws -> R) throws -> R {
        let file = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString).path
        try text.write(toFile: file, atomically: true, encoding: .utf8)
        defer { try? FileManager.default.removeItem(atPath: file) }
        return try body(file)
    }

    @Test(arguments: [
        ("hs256_secret", [SignatureAlgorithm.hs256]), ("hs384_secret", [.hs384]), ("hs512_secret", [.hs512]),
        ("secret", [.hs256]), ("algorithms: [HS256, HS512], secret", [.hs256, .hs512]),
    ])
    func `A secret is for the algorithm of its key's name`(key: String, algorithms: [SignatureAlgorithm]) throws {
        let keys = try token("\(key): \"\(Self.secret)\"").fixedKeys()
        #expect(keys.map(\.algorithms) == [Set(algorithms)])
    }

    @Test func `Without more words a token's rules are those of the documents`() throws {
        let rules = try token("hs256_secret: \"\(Self.secret)\"").rules
        #expect(rules.userKey == "sub" && rules.groupsKey == "groups" && rules.leeway == 30)
        #expect(rules.issuers.isEmpty && rules.audiences.isEmpty)
        #expect(rules.location.query == "token" && rules.location.cookie == nil)
    }

    @Test func `Every rule of a token is read`() throws {
        let rules = try token(
            """
            jwks_url: "https://x/keys", jwks_refresh: 1h, algorithms: [RS256, ES256], issuer: i, audience: [b, c], leeway: 5,
            user_key: u, groups_key: g, query: "", cookie: jwt
            """)
        #expect(rules.rules.issuers == ["i"] && rules.rules.audiences == ["b", "c"] && rules.rules.leeway == 5)
        #expect(rules.rules.userKey == "u" && rules.rules.groupsKey == "g")
        #expect(rules.rules.location.query == nil && rules.rules.location.cookie == "jwt")
        guard case .remote(let remote) = rules.source else { throw CommandFailure("not remote") }
        #expect(remote.url == "https://x/keys" && remote.refresh == .hours(1))
        #expect(remote.algorithms == [.rs256, .es256])
    }

    @Test func `Secrets come from files and from the environment too`() throws {
        try with(Self.secret + "\n") { file in
            let login = try token("hs256_secret_file: \"\(file)\"")
            guard case .secrets(let secrets) = login.source else { throw CommandFailure("no secrets") }
            #expect(try login.secrets(secrets) == [Array(Self.secret.utf8)])
        }
        let comma = "a secret, with commas, in the environment"
        let login = try token("hs256_secret: \"\(Self.secret)\"", ["TOCSIN_AUTH_A_HS256_SECRET": comma])
        guard case .secrets(let secrets) = login.source else { throw CommandFailure("no secrets") }
        #expect(secrets.values == [comma])
        let alone = try token("leeway: 1", ["TOCSIN_AUTH_A_HS256_SECRET": comma])
        #expect(try alone.fixedKeys().count == 1)
        let two = try token("hs256_secret: [\"\(Self.secret)\", \"\(Self.secret)!\"]")
        #expect(try two.fixedKeys().count == 2)
    }

    @Test func `The environment names an entry in capitals, and only keys that it has`() throws {
        let yaml = """
            auth:
              my-site: { kind: callback, url: "http://file/" }
              my-site-2: { kind: callback, url: "http://file/2" }
            """
        let configuration = try Configuration(
            yaml: yaml,
            environment: ["TOCSIN_AUTH_MY_SITE_URL": "http://one/", "TOCSIN_AUTH_MY_SITE_2_URL": "http://two/"])
        guard case .callback(let one) = configuration.authentication["my-site"],
            case .callback(let two) = configuration.authentication["my-site-2"]
        else { throw CommandFailure("no callbacks") }
        #expect(one.url == "http://one/" && two.url == "http://two/")
        for name in ["TOCSIN_AUTH_MY_SITE_URI", "TOCSIN_AUTH_OTHER_URL"] {
            #expect(throws: ConfigurationError("the environment's \(name) names no key of auth")) {
                try Configuration(yaml: yaml, environment: [name: "x"])
            }
        }
    }

    @Test(arguments: [
        (
            "kind: jwt",
            "auth.a needs a key: one of hs256_secret, hs384_secret, hs512_secret, secret, public_key_file, jwks_url"
        ),
        ("kind: jwt, hs256_secret: short", "auth.a.hs256_secret (line 1) must be 32 bytes or longer"),
        ("kind: jwt, hs256_secret: []", "auth.a.hs256_secret (line 1) is an empty list"),
        ("kind: jwt, hs256_secret: {}", "auth.a.hs256_secret (line 1) must be a list"),
        (
            "kind: jwt, hs256_secret: \"\(secret)\", jwks_url: https://x",
            "auth.a has hs256_secret and jwks_url: one key each; make two entries"
        ),
        (
            "kind: jwt, hs256_secret: \"\(secret)\", hs256_secret_file: x",
            "auth.a.hs256_secret (line 1) is set, and hs256_secret_file too: one of them"
        ),
        (
            "kind: jwt, hs256_secret: \"\(secret)\", algorithms: RS256",
            "auth.a.algorithms (line 1) is for secret, public_key_file"
        ),
        (
            "kind: jwt, secret: \"\(secret)\", algorithms: [HS256, RS256]",
            "auth.a.algorithms (line 1) has RS256, which needs a public key, not secret"
        ),
        (
            "kind: jwt, public_key_file: x, algorithms: HS256",
            "auth.a.algorithms (line 1) has HS256, which needs a secret, not public_key_file"
        ),
        (
            "kind: jwt, secret: \"\(secret)\", algorithms: none",
            "auth.a.algorithms (line 1) has \"none\"; there are HS256, HS384"
        ),
        ("kind: jwt, jwks_url: file:///etc/passwd", "auth.a.jwks_url (line 1) must be the https:// or http:// address"),
        ("kind: jwt, jwks_url: https://x, jwks_refresh: 1s", "auth.a.jwks_refresh (line 1) must be 10s to 1d"),
        ("kind: jwt, secret: \"\(secret)\", jwks_refresh: 1h", "auth.a.jwks_refresh (line 1) is for jwks_url"),
        (
            "kind: jwt, secret: \"\(secret)\", leeway: 1500ms",
            "auth.a.leeway (line 1) must be 0 to 10m, in whole seconds"
        ),
        ("kind: jwt, secret: \"\(secret)\", leeway: 11m", "auth.a.leeway (line 1)"),
        ("kind: jwt, secret: \"\(secret)\", user_key: \"\"", "auth.a.user_key (line 1) must be the name of a claim"),
        (
            "kind: jwt, secret: \"\(secret)\", audiance: x",
            "unknown key \"auth.a.audiance\" (line 1); did you mean \"audience\"?"
        ),
        ("kind: django_session", "auth.a.engine must be signed_cookies or cache"),
        (
            "kind: django_session, engine: db",
            "auth.a.engine (line 1) must be signed_cookies or cache; for others let the site"
        ),
        ("kind: django_session, engine: x", "auth.a.engine (line 1) must be signed_cookies or cache, not \"x\""),
        ("kind: django_session, engine: signed_cookies", "auth.a.secret_keys is missing: the site's SECRET_KEY"),
        ("kind: django_session, engine: signed_cookies, secret_keys: []", "auth.a.secret_keys (line 1) is missing"),
        (
            "kind: django_session, engine: signed_cookies, secret_keys: [\"\"]",
            "auth.a.secret_keys (line 1) has an empty key"
        ),
        (
            "kind: django_session, engine: signed_cookies, secret_keys: x, secret_keys_file: y",
            "auth.a.secret_keys (line 1) is set, and secret_keys_file too"
        ),
        (
            "kind: django_session, engine: signed_cookies, secret_keys: x, cookie_age: 0",
            "auth.a.cookie_age (line 1) must be 1s"
        ),
        (
            "kind: django_session, engine: signed_cookies, secret_keys: x, cookie: \"\"",
            "auth.a.cookie (line 1) must not be empty"
        ),
        (
            "kind: django_session, engine: signed_cookies, secret_keys: x, redis: y",
            "unknown key \"auth.a.redis\" (line 1)"
        ),
        ("kind: django_session, engine: cache", "auth.a.redis is missing: the LOCATION of the site's cache"),
        (
            "kind: django_session, engine: cache, redis: \"http://x\"",
            "auth.a.redis (line 1) : the Redis address starts with"
        ),
        (
            "kind: django_session, engine: cache, redis: \"redis://x\", secret_keys: y",
            "unknown key \"auth.a.secret_keys\""
        ),
    ])
    func `What is wrong names its key and the remedy`(text: String, beginning: String) {
        #expect(message(text).hasPrefix(beginning), "\(message(text))")
    }

    @Test func `No message repeats a secret`() throws {
        let wrong = [
            "kind: jwt, hs256_secret: Tr0ub4dor", "kind: jwt, secret: [\"\(Self.secret)\", Tr0ub4dor]",
            "kind: jwt, hs256_secret: { Tr0ub4dor: x }", "kind: jwt, secret: Tr0ub4dor, secret_file: x",
            "kind: django_session, engine: signed_cookies, secret_keys: [Tr0ub4dor, [x]]",
            "kind: django_session, engine: signed_cookies, secret_keys: Tr0ub4dor, secret_keys_file: x",
            "kind: django_session, engine: cache, redis: \"redis://u:Tr0ub4dor@h:port\"",
        ]
        for text in wrong {
            #expect(message(text) != "nothing was wrong", "\(text)")
            #expect(!message(text).contains("Tr0ub4dor"), "\(message(text))")
        }
        #expect(!message("kind: jwt", ["TOCSIN_AUTH_A_SECRET": "Tr0ub4dor"]).contains("Tr0ub4dor"))
        try with("Tr0ub4dor") { file in
            let login = try token("secret_file: \"\(file)\"")
            let error = #expect(throws: ConfigurationError.self) { try login.fixedKeys() }
            #expect(error?.description.contains("must be 32 bytes or longer") == true)
            #expect(error?.description.contains("Tr0ub4dor") == false)
        }
    }

    @Test func `A file that cannot be read, or holds something else, is named with its key`() throws {
        for key in ["hs256_secret_file", "public_key_file"] {
            let login = try token("\(key): /nowhere/key")
            let error = #expect(throws: ConfigurationError.self) { try login.fixedKeys() }
            #expect(error?.description.hasPrefix("auth.a.\(key): cannot read /nowhere/key: ") == true)
        }
        try with("no key") { file in
            let login = try token("public_key_file: \"\(file)\"")
            #expect(
                throws: ConfigurationError(
                    "auth.a.public_key_file: \(file) must hold one public key in PEM form (-----BEGIN PUBLIC KEY-----)")
            ) { try login.fixedKeys() }
        }
    }

    @Test func `Every key of a session is read, and its defaults are Django's`() throws {
        let short = try session("engine: signed_cookies, secret_keys: [new, old]")
        #expect(short.cookie == "sessionid" && short.userKey == "_auth_user_id")
        guard case .signedCookies(let secrets, nil, 1_209_600) = short.engine else {
            throw CommandFailure("another engine")
        }
        #expect(secrets == ["new", "old"])
        let long = try session(
            "engine: cache, redis: \"redis://u:p@h:6380/5\", key_prefix: site, version: 2, cookie: c, user_key: userId")
        #expect(long.cookie == "c" && long.userKey == "userId")
        guard case .cache(let cache) = long.engine else { throw CommandFailure("another engine") }
        #expect(
            cache.address == (try RedisAddress("redis://u:p@h:6380/5")) && cache.prefix == "site" && cache.version == 2)
        try with("new\nold\n\n") { file in
            let filed = try session("engine: signed_cookies, secret_keys_file: \"\(file)\", cookie_age: 1h")
            guard case .signedCookies(let none, let path, 3600) = filed.engine else {
                throw CommandFailure("another engine")
            }
            #expect(try filed.secrets(none, file: path) == ["new", "old"])
        }
    }

    @Test(arguments: [
        ("redis://h", 0), ("redis://h:6379", 0), ("redis://h/", 0), ("redis://h/7", 7), ("redis://h?db=2", 2),
        ("unix:///run/redis.sock", 0), ("unix:///run/redis.sock?db=3", 3),
    ])
    func `A cache that names no database is in Django's, which is 0`(url: String, database: Int) throws {
        guard case .cache(let cache) = try session("engine: cache, redis: \"\(url)\"").engine else {
            throw CommandFailure("another engine")
        }
        #expect(cache.address.database == database)
    }

    @Test func `A session is looked for where Django put it`() async throws {
        let client = try await RedisClient.start(
            RedisConfiguration(address: RedisAddress("redis://127.0.0.1:1"), clientName: "test"),
            on: MultiThreadedEventLoopGroup.singleton.any(), logger: Examination.silent)
        let store = RedisSessionStore(client: client, prefix: "j", version: 1)
        #expect(
            store.key("80iuycvluqbqbl6gtp28da3aehzxrca4")
                == "j:1:django.contrib.sessions.cache80iuycvluqbqbl6gtp28da3aehzxrca4")
        await #expect(throws: RedisError.self) { try await store.session("80iuycvluqbqbl6gtp28da3aehzxrca4") }
        await client.close()
    }
}
