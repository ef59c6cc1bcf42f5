import Broker
import NIOCore
import NIOHTTP1
import Synchronization

/// Admission control: limits on connections to this gateway, per client network and per user, and on handshakes per second.
///
/// Safe from any thread. Locks and atomics are touched when a connection opens or closes, never per message.
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

    /// Reserves a slot against the limits that can be checked before the login is known.
    ///
    /// - Throws: `Refusal`: 503 when the gateway is at a limit, 429 when the client's network is.
    func enter(_ connection: ConnectionID, from network: ClientNetwork, at now: NIODeadline = .now()) throws(Refusal)
        -> ConnectionSlot
    {
        if handshakeRate.isLimited {
            guard handshakes.withLock({ $0.take(of: handshakeRate, at: now) }) else {
                // Random, so that clients refused together do not all retry in the same second.
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

    /// Counts the connection against its user's limit.
    ///
    /// - Throws: `Refusal`; the slot is unchanged.
    func identify(_ slot: inout ConnectionSlot, as user: String) throws(Refusal) {
        guard users.enter(user) else {
            throw Self.refusal(.tooManyRequests, "this user has too many connections; close one", .userFull, 30)
        }
        slot.user = user
    }

    /// Releases the slot. Call exactly once per `enter`.
    func leave(_ slot: ConnectionSlot) {
        admitted.wrappingSubtract(1, ordering: .relaxed)
        addresses.leave(slot.network)
        if let user = slot.user { users.leave(user) }
    }

    /// Open connections plus handshakes in progress.
    var count: Int { admitted.load(ordering: .relaxed) }

    private static func refusal(
        _ status: HTTPResponseStatus, _ message: String, _ reason: RefusalReason, _ seconds: Int
    ) -> Refusal {
        Refusal(status: status, message: message, headers: [("Retry-After", String(seconds))], reason: reason)
    }
}
