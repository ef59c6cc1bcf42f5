import CSockets
import Glibc
public import NIOCore

/// A listening socket: accepts connections and hands them out. Lives on its loop.
public final class Listener: LoopSocket {
    public let port: Int
    private let loop: SocketLoop
    private var descriptor: CInt
    /// A reserve descriptor. Closed to accept, refuse and close a connection when the process is out of descriptors: otherwise
    /// connections would stay in the backlog forever, and wake the loop all the time.
    private var spare = csockets_spare()
    /// Bytes sent to a connection that is turned away.
    private let refusal: ByteBuffer
    private let accepted: (CInt, PeerAddress) -> Void
    private let refused: () -> Void

    /// Connections accepted per turn: grows with the load, so that a single one costs a single call. At most 64, so that open
    /// connections are served in between.
    private var batch = 1
    private static let largestBatch = 64

    /// Binds and listens.
    ///
    /// - Parameters:
    ///   - accepted: takes over the descriptor.
    ///   - refused: called when a connection was sent `refusal` for lack of a descriptor.
    /// - Throws: `SocketError` when the address cannot be bound.
    public init(
        host: String, port: Int, loop: SocketLoop, refusal: ByteBuffer,
        accepted: @escaping (CInt, PeerAddress) -> Void, refused: @escaping () -> Void
    ) throws(SocketError) {
        self.loop = loop
        self.refusal = refusal
        self.accepted = accepted
        self.refused = refused
        descriptor = csockets_listen(host, UInt16(clamping: port), 4096)
        guard descriptor >= 0 else { throw SocketError(code: -descriptor) }
        self.port = Int(csockets_port(descriptor))
    }

    public func start() { _ = loop.add(self, descriptor: descriptor) }

    public func close() {
        guard descriptor >= 0 else { return }
        loop.remove(descriptor)
        csockets_close(descriptor)
        csockets_close(spare)
        descriptor = -1
    }

    func ready(_ event: csockets_event) {
        for _ in 0..<batch where descriptor >= 0 {
            var peer = csockets_peer()
            let client = csockets_accept(descriptor, &peer)
            switch -client {
            case ...0: accepted(client, PeerAddress(peer))
            case EMFILE, ENFILE: turnAway()
            case EAGAIN:
                batch = 1
                return
            default: continue  // that connection has ended already; the next one may be alive
            }
        }
        batch = min(batch * 2, Self.largestBatch)
    }

    private func turnAway() {
        if spare >= 0 { csockets_close(spare) }
        var peer = csockets_peer()
        let client = csockets_accept(descriptor, &peer)
        if client >= 0 {
            _ = refusal.withUnsafeReadableBytes { csockets_send(client, $0.baseAddress, $0.count) }
            csockets_close(client)
            refused()
        }
        spare = csockets_spare()
    }
}
