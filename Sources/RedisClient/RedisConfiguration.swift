public import Logging
public import NIOCore
public import NIOSSL

/// How to reach a Redis server, with time-outs and limits.
public struct RedisConfiguration: Sendable {
    /// What is at the other end, and therefore how a connection is set up.
    enum Peer: Sendable {
        /// A server at a fixed address: login and database.
        case server
        /// A server that Sentinels have named: it must also say that it is a primary (redis.io, "Sentinel client guidelines").
        case primary
        /// A Sentinel, which has no databases.
        case sentinel
    }

    /// The configured Redis: how it is called in messages.
    public var host: RedisHost
    /// Finds the server to dial. Default: a server's address; for a service, `useSentinels` sets it.
    public var locator: any RedisLocator
    var peer = Peer.server
    /// For `rediss://`: what a connection shows and believes. Asked for each connection, on its event loop, so that renewed
    /// files count from the next one on; what it throws fails that one. Default: the system's certificate authorities, full
    /// verification.
    public var tls: @Sendable () throws -> TLSConfiguration = { .makeClientConfiguration() }
    /// For `rediss://`: the server name to request (SNI) and to verify in the certificate. Default: the address' host.
    public var serverName: String?
    /// Shown by `CLIENT LIST`.
    public var clientName: String
    /// From dialling to the answer to the last setup command (AUTH, SELECT). Default 3 s.
    public var connectTimeout: TimeAmount = .seconds(3)
    /// How long a command may wait for its answer before the connection counts as dead. Default 2 s.
    public var commandTimeout: TimeAmount = .seconds(2)
    /// Interval between PINGs, each with the command time-out as its deadline. Default 2 s.
    public var probeInterval: TimeAmount = .seconds(2)
    /// Maximum commands waiting on one connection; more fail immediately. Default 20,000.
    public var maximumWaiting = 20_000
    /// Maximum bytes of all strings in one reply. Default 64 MiB.
    public var maximumReplyBytes = 64 << 20
    /// Delays before dialling again after a loss.
    public var backoff = Backoff()
    /// Delays after Redis has refused a connection's purpose: a login, a subscription, a write.
    public var refusalBackoff = Backoff(base: .milliseconds(200), ceiling: .seconds(3))

    /// Call `useSentinels` for a service when everything else is set.
    public init(_ host: RedisHost, clientName: String) {
        self.host = host
        self.clientName = clientName
        if case .server(let address) = host {
            locator = FixedLocator(address: address)
        } else {
            locator = NoLocator()
        }
    }

    public init(address: RedisAddress, clientName: String) { self.init(.server(address), clientName: clientName) }

    /// Has the Sentinels of a service asked before each dial. All copies of this configuration share what they answer. Does
    /// nothing for a server.
    ///
    /// - Parameter logger: for Sentinels that are of no use, once a minute each.
    public mutating func useSentinels(logger: Logger) {
        guard case .sentinel(let service) = host else { return }
        locator = SentinelLocator(service, for: self, logger: logger)
        peer = .primary
    }
}
