import Broker
import Logging
import Synchronization

/// What all connections of the process share. Immutable, but for one atomic flag and the connection slots taken.
final class GatewayState: Sendable {
    /// The settings that the gateway started with, which each shard adopts first.
    let initial: GatewaySettings
    /// The gateway's name.
    let name: String
    let backplane: any Backplane
    let metrics: GatewayMetrics
    let logger: Logger
    let admission: Admission
    private let draining = Atomic<Bool>(false)

    init(_ initial: GatewaySettings, backplane: any Backplane, metrics: GatewayMetrics, logger: Logger) {
        self.initial = initial
        name = initial.configuration.name
        self.backplane = backplane
        self.metrics = metrics
        self.logger = logger
        admission = Admission(initial.configuration)
    }

    var isDraining: Bool { draining.load(ordering: .relaxed) }
    func startDraining() { draining.store(true, ordering: .relaxed) }
}
