import NIOCore
import Sockets

/// Parses the header in which a proxy names the client: the PROXY protocol, versions 1 and 2 (haproxy.org,
/// "proxy-protocol.txt", 2020/03/05).
///
/// A pure value. Strict: anything outside the specification, or specified only for datagrams, is malformed as soon as that
/// is known. Bounded: 107 bytes in version 1, 536 in version 2. Checksums are not verified; TCP has its own.
struct ProxyHeaderParser {
    enum Outcome: Equatable {
        case needsMore
        /// - Parameters:
        ///   - source: nil: the proxy's own connection, or one whose client it does not know.
        ///   - rest: the bytes after the header.
        case header(source: PeerAddress?, rest: ByteBuffer)
        case malformed
    }

    private var collected = ByteBuffer()

    static let maximumTextBytes = 107
    static let maximumBinaryBytes = 536

    /// Must not be called again after any result other than `needsMore`.
    mutating func feed(_ bytes: ByteBuffer) -> Outcome {
        collected.writeImmutableBuffer(bytes)
        let view = collected.readableBytesView
        // The first byte distinguishes the versions.
        if view.first == ProxyTextHeader.beginning[0] { return text(view) }
        if view.first == ProxyBinaryHeader.signature[0] { return binary(view) }
        return view.isEmpty ? .needsMore : .malformed
    }

    private func text(_ bytes: ByteBufferView) -> Outcome {
        let head = bytes.prefix(Self.maximumTextBytes)
        guard zip(head, ProxyTextHeader.beginning).allSatisfy({ $0 == $1 }) else { return .malformed }
        guard let end = head.firstIndex(of: UInt8(ascii: "\n")) else {
            return head.count < Self.maximumTextBytes ? .needsMore : .malformed
        }
        guard head[..<end].last == UInt8(ascii: "\r"), let header = ProxyTextHeader(head[..<end].dropLast()) else {
            return .malformed
        }
        return done(source: header.source, count: head.distance(from: head.startIndex, to: end) + 1)
    }

    private func binary(_ bytes: ByteBufferView) -> Outcome {
        guard zip(bytes, ProxyBinaryHeader.signature).allSatisfy({ $0 == $1 }) else { return .malformed }
        guard let start = ProxyBinaryHeader.Start(bytes) else {
            return bytes.count < ProxyBinaryHeader.startBytes ? .needsMore : .malformed
        }
        let count = ProxyBinaryHeader.startBytes + start.count
        guard count <= Self.maximumBinaryBytes else { return .malformed }
        guard bytes.count >= count else { return .needsMore }
        guard let header = ProxyBinaryHeader(start, bytes.prefix(count).dropFirst(ProxyBinaryHeader.startBytes)) else {
            return .malformed
        }
        return done(source: header.source, count: count)
    }

    private func done(source: PeerAddress?, count: Int) -> Outcome {
        var rest = collected
        rest.moveReaderIndex(forwardBy: count)
        return .header(source: source, rest: rest)
    }
}
