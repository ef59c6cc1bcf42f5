public import NIOCore
public import NIOSSL

/// How to reach one Redis and how patient to be with it.
public struct RedisConfiguration: Sendable {
    /// The configured address: how the Redis is called in messages, and the login and database of every dial.
    public var address: RedisAddress
    /// Finds the server to dial. Default: `address`.
    public var locator: any RedisLocator
    /// For `rediss://`: what a connection shows and believes. Asked for each connection, on its event loop, so that renewed
    /// files count from the next one on; what it throws fails that one. Default: the system's certificate authorities, full
    /// verification.
    public var tls: @Sendable () throws -> TLSConfiguration = { .makeClientConfiguration() }
    /// For `rediss://`: the name that is asked for (SNI) and that the certificate must have. Default: the address' host.
    public var serverName: String?
    /// Shown by `CLIENT LIST`.
    public var clientName: String
    /// From dialling to the answer to the last command of the greeting (AUTH, SELECT). Default 3 s.
    public var connectTimeout: TimeAmount = .seconds(3)
    /// How long a command may wait for its answer before its connection counts as dead. Default 2 s.
    public var commandTimeout: TimeAmount = .seconds(2)
    /// A PING goes out this often; its deadline is the command time-out. Default 2 s.
    public var probeInterval: TimeAmount = .seconds(2)
    /// Commands waiting on one connection at once; more fail at once. Default 20,000.
    public var maximumWaiting = 20_000
    /// A reply with more bytes than this in its strings is refused. Default 64 MiB.
    public var maximumReplyBytes = 64 << 20
    /// Before dialling again after a loss.
    public var backoff = Backoff()
    /// The same after Redis has refused what a connection is for: a login, a subscription, a write.
    public var refusalBackoff = Backoff(base: .milliseconds(200), ceiling: .seconds(3))

    public init(address: RedisAddress, clientName: String) {
        self.address = address
        locator = FixedLocator(address: address)
        self.clientName = clientName
    }
}
