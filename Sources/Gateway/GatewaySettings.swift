import AsyncHTTPClient
import Broker
import Sockets

/// What a running gateway may change: configuration, routes, logins and rates, as one value.
///
/// Each `Shard` holds the one in force on its loop and can adopt another between two events. What spans several events (a
/// handshake) keeps the settings that it began with.
final class GatewaySettings: Sendable {
    let configuration: GatewayConfiguration
    let router: Router
    let authenticators: [String: any Authenticator]
    /// For routes that post to the site; nil: there are none.
    let siteClient: HTTPClient?
    /// The messages that one connection may send, and the groups that it may join, in a second.
    let messageRate: TokenRate
    let joinRate: TokenRate

    init(
        _ configuration: GatewayConfiguration, authenticators: [String: any Authenticator],
        siteClient: HTTPClient? = nil
    ) {
        self.siteClient = siteClient
        self.configuration = configuration
        self.authenticators = authenticators
        router = Router(routes: configuration.routes)
        // Two seconds' worth in a burst: a page that has just opened sends more than an idle one.
        messageRate = TokenRate(
            perSecond: configuration.maximumMessagesPerSecond, burst: 2 * configuration.maximumMessagesPerSecond)
        // A burst of twice as many groups as a connection may have: an SDK subscribes to all of them when it comes back, and
        // a page may replace all of them.
        joinRate = TokenRate(perSecond: configuration.maximumJoinsPerSecond, burst: 2 * configuration.maximumGroups)
    }

    /// Makes the logins forget what they have cached of the user.
    func forget(_ user: String) {
        for authenticator in authenticators.values { Task { await authenticator.forget(user) } }
    }

    /// The additional request headers that the logins of a route read; nil: no route.
    func pageHeaders(ofRoute index: Int?) -> [String] {
        guard let index else { return [] }
        return router.routes[index].authentication.flatMap { authenticators[$0]?.pageHeaders ?? [] }
    }

    /// Whether this peer has to begin with the PROXY protocol's header. From others it is not a request.
    func expectsProxyHeader(from peer: PeerAddress) -> Bool {
        configuration.proxyProtocol && configuration.trustedProxies.contains(peer.socketAddress)
    }
}
