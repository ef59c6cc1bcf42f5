import Broker
import NIOCore
import Sockets

/// What counts as one address: an IPv4 address, or the /64 that an IPv6 subscriber has to himself (RFC 6177).
struct ClientNetwork: Hashable, Sendable {
    private let bits: UInt64
    private let isIPv4: Bool

    init(_ address: PeerAddress) {
        isIPv4 = address.isIPv4
        bits = isIPv4 ? address.low : address.high
    }
}

/// What a connection was let in with: kept by the client, and given back when it goes.
struct ConnectionSlot: Sendable {
    let connection: ConnectionID
    let network: ClientNetwork
    /// nil: nobody is logged in.
    var user: String?
    /// When its login ends; nil: not before the connection does.
    var expiry: NIODeadline?

    func isExpired(at now: NIODeadline = .now()) -> Bool { expiry.map { now >= $0 } ?? false }

    /// When to look at the connection again: after so many seconds, or when its login has just ended.
    func lookAgain(in seconds: Int, now: NIODeadline = .now()) -> Int {
        guard let expiry else { return seconds }
        // The wheel's first second may be almost over.
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
