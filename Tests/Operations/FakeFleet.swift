import Broker
import Synchronization

@testable import Operations

/// A fleet in memory, which writes down what it is asked to do and can be away.
final class FakeFleet: Administration {
    private struct State {
        var ended: [ConnectionSelection] = []
        var failure: BackplaneError?
    }
    private let state = Mutex(State())

    var ended: [ConnectionSelection] { state.withLock { $0.ended } }
    func fail(_ error: BackplaneError?) { state.withLock { $0.failure = error } }

    private func check() throws(BackplaneError) {
        if let failure = state.withLock({ $0.failure }) { throw failure }
    }

    func end(_ selection: ConnectionSelection) async throws(BackplaneError) -> Heard {
        try check()
        state.withLock { $0.ended.append(selection) }
        return Heard(gateways: 2, living: 3)
    }
}
