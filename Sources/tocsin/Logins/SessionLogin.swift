import Gateway
import RedisClient

/// An `auth:` entry of kind django_session, as configured.
struct SessionLogin {
    enum Engine {
        case signedCookies(secrets: [String], file: String?, age: Int)
        case cache(DjangoCache)
    }

    /// The site's `CACHES` entry in which sessions are kept.
    struct DjangoCache: Equatable {
        var address: RedisAddress
        /// KEY_PREFIX.
        var prefix = ""
        /// VERSION.
        var version = 1
    }

    var path: String
    var cookie = "sessionid"
    var userKey = "_auth_user_id"
    var engine: Engine

    /// SECRET_KEY, then its fallbacks. A file has one per line.
    ///
    /// - Throws: `ConfigurationError`, which never repeats a secret.
    func secrets(_ values: [String], file: String?) throws(ConfigurationError) -> [String] {
        guard let file else { return values }
        return try SecretFile(file, key: "\(path).secret_keys_file").lines(of: "SECRET_KEY")
    }

    /// - Throws: `ConfigurationError`, which never repeats a secret.
    init(_ reader: ConfigurationReader) throws(ConfigurationError) {
        path = reader.path
        switch try reader.text("engine") {
        case "signed_cookies": engine = try Self.signedCookies(reader)
        case "cache": engine = .cache(try Self.cache(reader))
        case "db", "cached_db", "file":
            throw reader.bad(
                "engine", "must be signed_cookies or cache; for others let the site answer (kind: callback)")
        case let other:
            throw reader.bad("engine", "must be signed_cookies or cache\(other.map { ", not \"\($0)\"" } ?? "")")
        }
        func name(_ key: String, _ place: inout String) throws(ConfigurationError) {
            guard let text = try reader.text(key) else { return }
            guard !text.isEmpty else { throw reader.bad(key, "must not be empty") }
            place = text
        }
        try name("cookie", &cookie)
        try name("user_key", &userKey)
    }

    private static func signedCookies(_ reader: ConfigurationReader) throws(ConfigurationError) -> Engine {
        let secrets = try reader.secrets("secret_keys"), file = try reader.text("secret_keys_file")
        guard secrets == nil || file == nil else {
            throw reader.bad("secret_keys", "is set, and secret_keys_file too: one of them")
        }
        guard file != nil || secrets?.isEmpty == false else {
            throw reader.bad("secret_keys", "is missing: the site's SECRET_KEY, then its SECRET_KEY_FALLBACKS")
        }
        guard secrets?.contains("") != true else { throw reader.bad("secret_keys", "has an empty key") }
        var age = 1_209_600
        if let given = try reader.duration("cookie_age") {
            guard (1000...315_360_000_000).contains(given) else {
                throw reader.bad("cookie_age", "must be 1s to 3650d")
            }
            age = given / 1000
        }
        return .signedCookies(secrets: secrets ?? [], file: file, age: age)
    }

    private static func cache(_ reader: ConfigurationReader) throws(ConfigurationError) -> DjangoCache {
        guard let url = try reader.text("redis") else {
            throw reader.bad("redis", "is missing: the LOCATION of the site's cache, like redis://127.0.0.1:6379/1")
        }
        var address: RedisAddress
        do throws(RedisError) { address = try RedisAddress(url) } catch { throw reader.bad("redis", ": \(error)") }
        // Django's client uses database 0 when its address names none.
        if !RedisAddress.namesDatabase(url) { address.database = 0 }
        var cache = DjangoCache(address: address)
        if let prefix = try reader.text("key_prefix") { cache.prefix = prefix }
        if let version = try reader.integer("version", 0...1_000_000) { cache.version = version }
        return cache
    }
}
