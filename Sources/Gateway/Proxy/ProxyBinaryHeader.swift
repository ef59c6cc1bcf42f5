import NIOCore
import Sockets

/// A version 2 header (section 2.2): sixteen bytes, followed by addresses and extra fields.
struct ProxyBinaryHeader {
    /// nil: `LOCAL`, or a connection without addresses.
    let source: PeerAddress?

    static let signature: [UInt8] = [0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A]
    static let startBytes = 16

    /// After the signature: version and command, family and protocol, and the number of bytes that follow.
    struct Start {
        /// The proxy's own connection, for a health check: addresses must be ignored.
        let isLocal: Bool
        fileprivate let family: Family
        let count: Int

        /// nil: too short, or not this protocol.
        init?(_ bytes: ByteBufferView) {
            var reader = ByteBuffer(bytes)
            guard reader.readBytes(length: signature.count) == signature,
                let (command, family, count) = reader.readMultipleIntegers(as: (UInt8, UInt8, UInt16).self),
                command == 0x20 || command == 0x21, let family = Family(rawValue: family)
            else { return nil }
            isLocal = command == 0x20
            self.family = family
            self.count = Int(count)
        }
    }

    /// Families of stream sockets; datagrams never arrive over a connection.
    fileprivate enum Family: UInt8 {
        case unspecified = 0x00
        case tcp4 = 0x11
        case tcp6 = 0x21
        case unix = 0x31

        /// Size of source and destination together.
        var addressBytes: Int {
            switch self {
            case .unspecified: 0
            case .tcp4: 12
            case .tcp6: 36
            case .unix: 216
            }
        }
    }

    init?(_ start: Start, _ bytes: ByteBufferView) {
        if start.isLocal || start.family == .unspecified {
            // Whatever follows must be ignored.
            source = nil
            return
        }
        let extras = bytes.dropFirst(start.family.addressBytes)
        guard bytes.count >= start.family.addressBytes, Self.areExtras(extras) else { return nil }
        switch start.family {
        case .unspecified, .unix: source = nil
        case .tcp4: source = Self.address(bytes, length: 4)
        case .tcp6: source = Self.address(bytes, length: 16)
        }
    }

    /// Reads source address, destination address, source port, destination port; returns the source.
    private static func address(_ bytes: ByteBufferView, length: Int) -> PeerAddress? {
        var reader = ByteBuffer(bytes)
        guard let host = reader.readSlice(length: length), reader.readSlice(length: length) != nil,
            let port = reader.readInteger(as: UInt16.self),
            let address = try? SocketAddress(packedIPAddress: host, port: Int(port))
        else { return nil }
        return PeerAddress(address)
    }

    /// Whether the rest consists of complete type-length-value fields. None of them is used.
    private static func areExtras(_ bytes: ByteBufferView) -> Bool {
        var reader = ByteBuffer(bytes)
        while reader.readableBytes > 0 {
            guard let (_, count) = reader.readMultipleIntegers(as: (UInt8, UInt16).self),
                reader.readSlice(length: Int(count)) != nil
            else { return false }
        }
        return true
    }
}
