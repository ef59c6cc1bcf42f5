import Broker
import Logging
import Sockets
import Synchronization

/// What all connections of the process share. Immutable, but for one atomic word and the places taken.
final class GatewayState: Sendable {
    let configuration: GatewayConfiguration
    /// The gateway's name.
    let name: String
    let router: Router
    let authenticators: [String: any Authenticator]
    let backplane: any Backplane
    let metrics: GatewayMetrics
    let logger: Logger
    let admission: Admission
    /// What one connection may send, and join, in a second.
    let messageRate: TokenRate
    let joinRate: TokenRate
    private let draining = Atomic<Bool>(false)

    init(
        _ configuration: GatewayConfiguration, authenticators: [String: any Authenticator], backplane: any Backplane,
        metrics: GatewayMetrics, logger: Logger
    ) {
        self.configuration = configuration
        name = configuration.name
        self.authenticators = authenticators
        self.backplane = backplane
        self.metrics = metrics
        admission = Admission(configuration)
        // Two seconds' worth at once: a page that has just opened sends more than an idle one.
        messageRate = TokenRate(
            perSecond: configuration.maximumMessagesPerSecond, burst: 2 * configuration.maximumMessagesPerSecond)
        // Twice as many at once as it may have: an SDK subscribes to all of them when it comes back, and a page may change
        // its mind about all.
        joinRate = TokenRate(perSecond: configuration.maximumJoinsPerSecond, burst: 2 * configuration.maximumGroups)
        self.logger = logger
        router = Router(routes: configuration.routes)
    }

    /// What logins remember of the user is not believed any more.
    func forget(_ user: String) {
        for authenticator in authenticators.values { Task { await authenticator.forget(user) } }
    }

    /// Headers of their own choice that the logins of a route read; nil: no route.
    func pageHeaders(ofRoute index: Int?) -> [String] {
        guard let index else { return [] }
        return router.routes[index].authentication.flatMap { authenticators[$0]?.pageHeaders ?? [] }
    }

    /// Whether this peer has to begin with the PROXY protocol's header. From others it is not a request.
    func expectsProxyHeader(from peer: PeerAddress) -> Bool {
        configuration.proxyProtocol && configuration.trustedProxies.contains(peer.socketAddress)
    }

    var isDraining: Bool { draining.load(ordering: .relaxed) }
    func startDraining() { draining.store(true, ordering: .relaxed) }
}
