import Broker
import NIOCore
import Sockets

/// The unit that per-address limits apply to: an IPv4 address, or an IPv6 subscriber's /64 (RFC 6177).
struct ClientNetwork: Hashable, Sendable {
    private let bits: UInt64
    private let isIPv4: Bool

    init(_ address: PeerAddress) {
        isIPv4 = address.isIPv4
        bits = isIPv4 ? address.low : address.high
    }
}

/// A connection's claim on the gateway's limits. Held by the client and released with `Admission.leave` when it ends.
struct ConnectionSlot: Sendable {
    let connection: ConnectionID
    let network: ClientNetwork
    /// nil: not logged in.
    var user: String?
    /// When the login expires; nil: not before the connection ends.
    var expiry: NIODeadline?

    func isExpired(at now: NIODeadline = .now()) -> Bool { expiry.map { now >= $0 } ?? false }

    /// Seconds until the connection's next check: `seconds`, or sooner if its login expires before that.
    func lookAgain(in seconds: Int, now: NIODeadline = .now()) -> Int {
        guard let expiry else { return seconds }
        // Two seconds extra, rounded up: the wheel's current second may be almost over.
        let left = max((expiry - now).nanoseconds, 0) / 1_000_000_000 + 2
        return min(seconds, Int(left))
    }

    func isAmong(_ selection: ConnectionSelection) -> Bool {
        switch selection {
        case .user(let user): self.user == user
        case .connection(let connection): self.connection == connection
        }
    }
}
