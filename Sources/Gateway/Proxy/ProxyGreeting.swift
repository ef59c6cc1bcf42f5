import NIOCore
import NIOHTTP1
import Sockets

/// Owns a trusted proxy's connection until its PROXY header has been read, then hands the socket to a `Handshake`.
///
/// Lives on its shard's loop.
final class ProxyGreeting: StreamSocketOwner {
    private let shard: Shard
    private let socket: any StreamSocket
    private let deadline: NIODeadline
    private var parser = ProxyHeaderParser()
    private var isOver = false
    var wheelPlace: WheelPlace?

    /// Seconds the peer gets to read the error response before the connection is closed.
    private static let farewellSeconds = 2

    /// Takes over the socket and starts reading.
    init(_ socket: any StreamSocket, shard: Shard) {
        self.shard = shard
        self.socket = socket
        let seconds = shard.settings.configuration.handshakeSeconds
        deadline = .now() + .seconds(Int64(seconds))
        socket.owner = self
        shard.schedule(self, in: seconds)
    }

    func received(_ bytes: ByteBuffer) {
        guard !isOver else { return }
        switch parser.feed(bytes) {
        case .needsMore: break
        case .malformed: refuse()
        case .header(let source, let rest):
            isOver = true
            shard.unschedule(self)
            // The request gets whatever time is left.
            let left = Int((deadline - .now()).nanoseconds / 1_000_000_000)
            let handshake = Handshake(socket, shard: shard, source: source, seconds: max(left, 1))
            if rest.readableBytes > 0 { handshake.received(rest) }
        }
    }

    func becameWritable() {}

    func ended() { shard.unschedule(self) }

    private func refuse() {
        isOver = true
        let refusal = Refusal(
            status: .badRequest, message: "a trusted proxy must begin with the PROXY protocol's header",
            reason: .proxyHeader)
        shard.state.metrics.refused(refusal.reason)
        socket.write(HTTPAnswer(refusal).bytes)
        socket.flush()
        socket.finish()
        shard.schedule(self, in: Self.farewellSeconds)
    }
}

extension ProxyGreeting: DeadlineOwner {
    func tick() -> Int? {
        if !isOver { shard.state.metrics.refused(.timeout) }
        isOver = true
        socket.close()
        return nil
    }
}

@available(*, unavailable) extension ProxyGreeting: Sendable {}
