import Gateway
import NIOCore

extension Configuration {
    /// Reads one entry of `auth:`.
    static func authentication(_ reader: ConfigurationReader) throws(ConfigurationError) -> Authentication {
        let result: Authentication
        switch try reader.text("kind") {
        case "header": result = try header(reader)
        case "callback": result = .callback(try callback(reader))
        case "jwt": result = .jwt(try TokenLogin(reader))
        case "django_session": result = .djangoSession(try SessionLogin(reader))
        case let kind:
            throw reader.bad(
                "kind", "must be callback, jwt, django_session or header\(kind.map { ", not \"\($0)\"" } ?? "")")
        }
        try reader.finish()
        return result
    }

    private static func header(_ reader: ConfigurationReader) throws(ConfigurationError) -> Authentication {
        guard let header = try reader.text("header"), !header.isEmpty else {
            throw reader.bad("header", "is missing: the name of the header that names the user")
        }
        guard let networks = try reader.texts("trusted"), !networks.isEmpty else {
            throw reader.bad("trusted", "is missing: the networks whose header is believed, like [\"10.0.0.0/8\"]")
        }
        do throws(TemplateError) {
            return .header(header: header, trusted: try TrustedNetworks(networks))
        } catch {
            throw reader.bad("trusted", ": \(error)")
        }
    }

    private static func callback(
        _ reader: ConfigurationReader
    ) throws(ConfigurationError) -> CallbackAuthenticator.Configuration {
        guard let url = try reader.text("url"), url.hasPrefix("http://") || url.hasPrefix("https://") else {
            throw reader.bad("url", "must be the http:// or https:// address that says who somebody is")
        }
        var callback = CallbackAuthenticator.Configuration(url: url)
        if let forward = try reader.texts("forward") { callback.forward = forward.map { $0.lowercased() } }
        if let timeout = try reader.duration("timeout") {
            guard (1...10_000).contains(timeout) else { throw reader.bad("timeout", "must be 1ms to 10s") }
            callback.timeout = .milliseconds(Int64(timeout))
        }
        if let key = try reader.text("user_key") { callback.userKey = key }
        if let cache = try reader.duration("cache") { callback.cache = .milliseconds(Int64(cache)) }
        return callback
    }
}
