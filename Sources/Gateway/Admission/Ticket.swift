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
struct Ticket: Sendable {
    let network: ClientNetwork
    /// nil: nobody is logged in.
    var user: String?
    /// When its login ends; nil: not before the connection does.
    var expiry: NIODeadline?
}
