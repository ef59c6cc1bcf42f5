public import Broker

/// Settings of the gateway, from `gateway:`, `routes:` and `auth:` of the configuration.
public struct GatewayConfiguration: Sendable {
    /// The gateway's name, shown to clients of the centrifuge protocol.
    public var name = ""
    /// The address that clients connect to.
    public var bind: HostAndPort
    public var allowedHosts: AllowedHosts
    public var routes: [Route]
    /// Maximum open connections; beyond it handshakes get 503. Default 100,000.
    public var maximumConnections = 100_000
    /// Maximum open connections per client address (per /64 for IPv6); beyond it handshakes get 429. Default 0: no limit,
    /// because all clients of a load balancer that is not in `trustedProxies` appear to have its address.
    public var maximumConnectionsPerAddress = 0
    /// Maximum open connections per user on this gateway; beyond it handshakes get 429. Default 0: no limit.
    public var maximumConnectionsPerUser = 0
    /// Handshakes accepted per second, which is also the burst; beyond it they get 503. Default 0: no limit.
    public var maximumHandshakesPerSecond = 0
    /// Messages accepted per connection and second, including commands, pings and pongs; the burst is twice that. Beyond it
    /// the connection is closed with 4429 (centrifuge: 3013). 0: no limit. Default 100.
    public var maximumMessagesPerSecond = 100
    /// Groups that one connection may subscribe to per second, with a burst of twice `maximumGroups`; beyond it the client
    /// gets error 111. 0: no limit. Default 20.
    public var maximumJoinsPerSecond = 20
    /// Maximum groups of one connection at a time. Default 128.
    public var maximumGroups = 128
    /// Maximum bytes of one message from a client; a longer one closes with 1009. Default 65,536.
    public var maximumMessageBytes = 65_536
    /// Maximum frames that one message from a client may be split into; more closes with 1009. Default 64.
    public var maximumFragments = 64
    /// Maximum bytes of the request line and headers; more is answered with 431. Default 16,384.
    public var maximumHeaderBytes = 16_384
    /// Seconds within which a client must send its handshake. Default 5.
    public var handshakeSeconds = 5
    /// Bytes that may be queued for one socket; beyond it the client is fed from the log once it reads again. Default 64 KiB.
    public var maximumPendingBytes = 64 << 10
    /// The same for messages that are not logged; beyond it they are dropped, and counted. Default 1 MiB.
    public var maximumUnloggedBytes = 1 << 20
    /// Seconds that a client's socket may stay full before the connection is closed with 4508. Default 120.
    public var slowSeconds = 120
    /// Seconds between pings, ± 10 %. Default 20.
    public var pingSeconds = 20
    /// Seconds to wait for any byte after a ping before the client counts as dead. Default 10.
    public var pongSeconds = 10
    /// Seconds over which a drain closes all connections. Default 30.
    public var drainSeconds = 30
    /// permessage-deflate. Default: off.
    public var compression = CompressionConfiguration()
    /// Proxies whose reports of the client's address are trusted. Default: none.
    public var trustedProxies = TrustedNetworks.none
    /// Whether trusted proxies start each connection with a PROXY protocol header. Default: no.
    public var proxyProtocol = false
    /// Whether `GET /` serves a demo page for the first route. Default: no.
    public var demoPage = false
    /// The command that the demo page shows, up to the group's name: `redis-cli` with the gateway's Redis, and the function
    /// call that sends.
    public var demoCommand = ""

    public init(host: String, port: Int, allowedHosts: AllowedHosts, routes: [Route]) {
        bind = HostAndPort(host: host, port: port)
        self.allowedHosts = allowedHosts
        self.routes = routes
    }
}
