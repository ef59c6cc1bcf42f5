public import Broker

/// What the gateway is told by the configuration.
public struct GatewayConfiguration: Sendable {
    /// The gateway's name, as clients of the centrifuge protocol see it.
    public var name = ""
    /// Where clients connect.
    public var bind: HostAndPort
    public var allowedHosts: AllowedHosts
    public var routes: [Route]
    /// Sockets at once; one more is answered 503. Default 100,000.
    public var maximumConnections = 100_000
    /// Connections of one address at once (of an IPv6 /64); one more is answered 429. Default 0: no limit, since behind a
    /// balancer that `trustedProxies` does not name all clients have the balancer's.
    public var maximumConnectionsPerAddress = 0
    /// Connections of one user at once on this gateway; one more is answered 429. Default 0: no limit.
    public var maximumConnectionsPerUser = 0
    /// Handshakes that are let in in a second, and at once; one more is answered 503. Default 0: no limit.
    public var maximumHandshakesPerSecond = 0
    /// Messages of one connection in a second, commands, pings and pongs included, and twice as many at once; more closes
    /// with 4429, centrifuge with 3013. 0: no limit. Default 100.
    public var maximumMessagesPerSecond = 100
    /// Groups that one connection may subscribe to in a second, and twice `maximumGroups` at once; more is answered with error
    /// 111. 0: no limit. Default 20.
    public var maximumJoinsPerSecond = 20
    /// Groups of one connection at once. Default 128.
    public var maximumGroups = 128
    /// Bytes of one message from a client; more closes with 1009. Default 65,536.
    public var maximumMessageBytes = 65_536
    /// Frames that one message of a client may be divided into; more closes with 1009. Default 64.
    public var maximumFragments = 64
    /// Bytes of a request line and its headers; more is answered 431. Default 16,384.
    public var maximumHeaderBytes = 16_384
    /// Seconds that a client has to send its handshake. Default 5.
    public var handshakeSeconds = 5
    /// Bytes that may wait for one socket; a client with more is fed from the log when it reads again. Default 64 KiB.
    public var maximumPendingBytes = 64 << 10
    /// The same for messages that no log keeps: above it they are dropped, and counted. Default 1 MiB.
    public var maximumUnloggedBytes = 1 << 20
    /// Seconds that a client may stay behind with its socket full until it is closed with 4508. Default 120.
    public var slowSeconds = 120
    /// Seconds between pings, ± 10 %. Default 20.
    public var pingSeconds = 20
    /// Seconds without a byte after a ping until the client counts as dead. Default 10.
    public var pongSeconds = 10
    /// Seconds over which a drain closes the connections. Default 30.
    public var drainSeconds = 30
    /// permessage-deflate. Default: off.
    public var compression = CompressionConfiguration()
    /// Who may say whom they speak for. Default: nobody.
    public var trustedProxies = TrustedNetworks.none
    /// Whether trusted proxies begin each connection with the PROXY protocol's header. Default: no.
    public var proxyProtocol = false
    /// Whether `GET /` shows the page that tries the first route. Default: no.
    public var demoPage = false
    /// What that page tells people to type, up to the name of the group: how their `redis-cli` finds the gateway's Redis, and
    /// the call that sends.
    public var demoCommand = ""

    public init(host: String, port: Int, allowedHosts: AllowedHosts, routes: [Route]) {
        bind = HostAndPort(host: host, port: port)
        self.allowedHosts = allowedHosts
        self.routes = routes
    }
}
