import CSockets
public import NIOCore

/// The address of a connection's peer: 16 bytes of IPv6, with IPv4 mapped into it, and a port.
public struct PeerAddress: Hashable, Sendable {
    /// The first half of the address, in network order.
    public var high: UInt64
    public var low: UInt64
    public var port: UInt16

    init(_ peer: csockets_peer) {
        (high, low) = withUnsafeBytes(of: peer.address) { bytes in
            (
                UInt64(bigEndian: bytes.load(as: UInt64.self)),
                UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
            )
        }
        port = peer.port
    }

    /// The address of a Unix socket's peer, which has none.
    public static let none = PeerAddress(csockets_peer())

    /// Converts a SwiftNIO address; nil: a Unix socket.
    public init?(_ address: SocketAddress) {
        port = UInt16(clamping: address.port ?? 0)
        // sin_addr follows 4 bytes of family and port; sin6_addr follows 4 more of flow information.
        switch address {
        case .v4(let v4):
            high = 0
            low =
                0xFFFF_0000_0000
                | withUnsafeBytes(of: v4.address) {
                    UInt64(UInt32(bigEndian: $0.loadUnaligned(fromByteOffset: 4, as: UInt32.self)))
                }
        case .v6(let v6):
            (high, low) = withUnsafeBytes(of: v6.address) { bytes in
                (
                    UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)),
                    UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 16, as: UInt64.self))
                )
            }
        case .unixDomainSocket: return nil
        }
    }

    public var isIPv4: Bool { high == 0 && low >> 32 == 0xFFFF }

    /// As a SwiftNIO address.
    public var socketAddress: SocketAddress? {
        let bytes: [UInt8] =
            isIPv4
            ? (0..<4).map { UInt8(truncatingIfNeeded: low >> (24 - 8 * $0)) }
            : (0..<8).map { UInt8(truncatingIfNeeded: high >> (56 - 8 * $0)) }
                + (0..<8).map { UInt8(truncatingIfNeeded: low >> (56 - 8 * $0)) }
        return try? SocketAddress(packedIPAddress: ByteBuffer(bytes: bytes), port: Int(port))
    }
}
