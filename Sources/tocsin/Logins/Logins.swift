import AsyncHTTPClient
import Gateway
import Logging
import NIOCore
import RedisClient

/// The authenticators of all `auth:` entries, and the connections to close when they are no longer needed.
struct Logins {
    let authenticators: [String: any Authenticator]
    private let clients: [RedisClient]

    /// Connects in the background, so that a gateway can start while the Redis of some site's sessions is down.
    ///
    /// - Throws: `ConfigurationError` when a file that a login names cannot be used.
    static func start(
        _ configuration: Configuration, http: HTTPClient, on eventLoop: any EventLoop, logger: Logger
    ) async throws -> Logins {
        var authenticators: [String: any Authenticator] = [:]
        var clients: [RedisClient] = []
        for (name, entry) in configuration.authentication {
            var logger = logger
            logger[metadataKey: "auth"] = "\(name)"
            switch entry {
            case .header(let header, let trusted):
                authenticators[name] = HeaderAuthenticator(header: header, trusted: trusted)
            case .callback(let callback): authenticators[name] = CallbackAuthenticator(callback, client: http)
            case .jwt(let login):
                let keys: JWTAuthenticator.Keys =
                    if case .remote(let remote) = login.source {
                        .remote(RemoteKeySet(remote, client: http, logger: logger))
                    } else {
                        .fixed(try login.fixedKeys())
                    }
                authenticators[name] = JWTAuthenticator(login.rules, keys: keys)
            case .djangoSession(let login):
                let engine: DjangoSessionAuthenticator.Engine
                switch login.engine {
                case .signedCookies(let secrets, let file, let age):
                    engine = .signedCookies(secrets: try login.secrets(secrets, file: file), age: age)
                case .cache(let cache):
                    let settings = try configuration.redisConfiguration(
                        .server(cache.address), clientName: "tocsin-sessions")
                    let client = try await RedisClient.start(settings, on: eventLoop, logger: logger)
                    clients.append(client)
                    engine = .store(RedisSessionStore(client: client, prefix: cache.prefix, version: cache.version))
                }
                authenticators[name] = DjangoSessionAuthenticator(
                    engine, cookie: login.cookie, userKey: login.userKey)
            }
        }
        return Logins(authenticators: authenticators, clients: clients)
    }

    func stop() async {
        for client in clients { await client.close() }
    }
}
