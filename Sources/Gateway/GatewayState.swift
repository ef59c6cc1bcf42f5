import Broker
import Logging
import Sockets
import Synchronization

/// What all connections of the process share. Immutable, but for two atomic words.
final class GatewayState: Sendable {
    let configuration: GatewayConfiguration
    /// The gateway's name.
    let name: String
    let router: Router
    let authenticators: [String: any Authenticator]
    let backplane: any Backplane
    let metrics: GatewayMetrics
    let logger: Logger
    private let admitted = Atomic<Int>(0)
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
        self.logger = logger
        router = Router(routes: configuration.routes)
    }

    /// Whether this peer has to begin with the PROXY protocol's header. From others it is no request.
    func expectsProxyHeader(from peer: PeerAddress) -> Bool {
        configuration.proxyProtocol && configuration.trustedProxies.contains(peer.socketAddress)
    }

    /// Takes one of the `maximumConnections` places; the caller gives it back with `leave`.
    func admit() -> Bool {
        let before = admitted.wrappingAdd(1, ordering: .relaxed).oldValue
        if before < configuration.maximumConnections { return true }
        leave()
        return false
    }

    func leave() { admitted.wrappingSubtract(1, ordering: .relaxed) }

    /// Connections and handshakes under way.
    var admittedCount: Int { admitted.load(ordering: .relaxed) }

    var isDraining: Bool { draining.load(ordering: .relaxed) }
    func startDraining() { draining.store(true, ordering: .relaxed) }
}
