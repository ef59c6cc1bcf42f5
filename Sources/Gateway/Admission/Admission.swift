import Broker
import NIOCore
import NIOHTTP1
import Synchronization

/// Who may come in: the places of this gateway, of an address and of a user, and how many handshakes a second.
///
/// Any thread. Locks and atomics are touched when a connection comes and when it goes, never for a message.
final class Admission: Sendable {
    private let maximumConnections: Int
    private let admitted = Atomic<Int>(0)
    private let addresses: ConnectionCounts<ClientNetwork>
    private let users: ConnectionCounts<String>
    private let handshakeRate: TokenRate
    private let handshakes = Mutex(TokenBucket())

    init(_ configuration: GatewayConfiguration) {
        maximumConnections = configuration.maximumConnections
        addresses = ConnectionCounts(limit: configuration.maximumConnectionsPerAddress)
        users = ConnectionCounts(limit: configuration.maximumConnectionsPerUser)
        handshakeRate = TokenRate(
            perSecond: configuration.maximumHandshakesPerSecond, burst: configuration.maximumHandshakesPerSecond)
    }

    /// Takes the places that can be taken before the login is known.
    ///
    /// - Throws: `Refusal`: 503 for what is the gateway's, 429 for what is the address' own doing.
    func enter(_ connection: ConnectionID, from network: ClientNetwork, at now: NIODeadline = .now()) throws(Refusal)
        -> ConnectionSlot
    {
        if handshakeRate.isLimited {
            guard handshakes.withLock({ $0.take(of: handshakeRate, at: now) }) else {
                // Not all at the same second: those who are refused together must not come back together.
                throw Self.refusal(.serviceUnavailable, "too many clients connect now", .rate, .random(in: 1...5))
            }
        }
        let before = admitted.wrappingAdd(1, ordering: .relaxed).oldValue
        guard before < maximumConnections else {
            admitted.wrappingSubtract(1, ordering: .relaxed)
            throw Self.refusal(.serviceUnavailable, "the gateway is full", .full, 5)
        }
        guard addresses.enter(network) else {
            admitted.wrappingSubtract(1, ordering: .relaxed)
            throw Self.refusal(
                .tooManyRequests, "this address has too many connections; close one", .addressFull, 30)
        }
        return ConnectionSlot(connection: connection, network: network)
    }

    /// Takes one of the user's places.
    ///
    /// - Throws: `Refusal`; the slot is unchanged.
    func identify(_ slot: inout ConnectionSlot, as user: String) throws(Refusal) {
        guard users.enter(user) else {
            throw Self.refusal(.tooManyRequests, "this user has too many connections; close one", .userFull, 30)
        }
        slot.user = user
    }

    /// Releases the slot. Call once.
    func leave(_ slot: ConnectionSlot) {
        admitted.wrappingSubtract(1, ordering: .relaxed)
        addresses.leave(slot.network)
        if let user = slot.user { users.leave(user) }
    }

    /// Connections and handshakes under way.
    var count: Int { admitted.load(ordering: .relaxed) }

    private static func refusal(
        _ status: HTTPResponseStatus, _ message: String, _ reason: RefusalReason, _ seconds: Int
    ) -> Refusal {
        Refusal(status: status, message: message, headers: [("Retry-After", String(seconds))], reason: reason)
    }
}
