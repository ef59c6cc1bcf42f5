import Broker
import ChannelLayer
import Operations
import RedisClient
import Synchronization

/// The admin port's view of the fleet, on Redis. The port stands before Redis is dialled: until then it is unavailable.
final class LayerAdministration: Administration {
    private let inspector = Mutex<LayerInspector?>(nil)

    func use(_ inspector: LayerInspector) { self.inspector.withLock { $0 = inspector } }

    func end(_ selection: ConnectionSelection) async throws(BackplaneError) -> Heard {
        try await ask { Heard(gateways: try await $0.end(selection), living: try await $0.gateways().count) }
    }

    func ask<R: Sendable>(
        _ question: @Sendable (LayerInspector) async throws -> R
    ) async throws(BackplaneError) -> R {
        guard let inspector = inspector.withLock({ $0 }) else { throw BackplaneError(.unavailable, "starting") }
        do {
            return try await question(inspector)
        } catch {
            throw LayerInspector.told(error)
        }
    }
}
