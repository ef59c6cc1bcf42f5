/// One Redis as it is configured: a server at a fixed address, or the primary that Sentinels name.
public enum RedisHost: Sendable, Equatable {
    case server(RedisAddress)
    case sentinel(SentinelService)

    /// Parses a URL: one of `RedisAddress`, or `redis+sentinel://…` (`SentinelService`).
    ///
    /// - Throws: `RedisError` `.badAddress`, whose text repeats nothing of the URL that could be secret.
    public init(_ text: String) throws(RedisError) {
        self =
            if SentinelService.isURL(text) {
                .sentinel(try SentinelService(text))
            } else {
                .server(try RedisAddress(text))
            }
    }

    public var user: String? {
        switch self {
        case .server(let address): address.user
        case .sentinel(let service): service.user
        }
    }

    public var database: Int {
        switch self {
        case .server(let address): address.database
        case .sentinel(let service): service.database
        }
    }

    /// Whether connections to the servers use TLS.
    public var isEncrypted: Bool {
        switch self {
        case .server(let address): address.isEncrypted
        case .sentinel(let service): service.isEncrypted
        }
    }

    /// Whether any connection uses TLS: to the servers, or to the Sentinels.
    public var needsTLS: Bool {
        if case .sentinel(let service) = self, service.sentinelsAreEncrypted { return true }
        return isEncrypted
    }
}

extension RedisHost: CustomStringConvertible {
    /// The URL without its passwords.
    public var description: String {
        switch self {
        case .server(let address): "\(address)"
        case .sentinel(let service): "\(service)"
        }
    }
}
