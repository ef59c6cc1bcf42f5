import Broker
import NIOCore
import Sockets

/// The listening socket of a client port without TLS. Connections are assigned to the event loops round-robin.
///
/// The listener lives on the first loop; all methods are called there.
struct Intake: Sendable {
    let loops: [SocketLoop]
    let shards: [NIOLoopBound<Shard>]
    let state: GatewayState

    /// - Throws: `SocketError` when the address cannot be bound.
    func listen() throws -> Listener {
        let watermark = PlainSocket.Watermark(
            low: state.initial.configuration.maximumPendingBytes / 4,
            high: state.initial.configuration.maximumPendingBytes)
        var next = 0
        let listener = try Listener(
            host: state.initial.configuration.bind.host, port: state.initial.configuration.bind.port, loop: loops[0],
            refusal: HTTPAnswer.outOfDescriptors
        ) { descriptor, peer in
            let (loop, shard) = (loops[next], shards[next])
            next = (next + 1) % loops.count
            let begin = { @Sendable in
                let socket = PlainSocket(descriptor: descriptor, peer: peer, loop: loop, watermark: watermark)
                guard socket.start() else { return }
                if state.initial.expectsProxyHeader(from: peer) {
                    _ = ProxyGreeting(socket, shard: shard.value)
                } else {
                    _ = Handshake(socket, shard: shard.value)
                }
                socket.readAtOnce()
            }
            if loop === loops[0] { begin() } else { loop.execute(begin) }
        } refused: {
            state.metrics.refused(.descriptors)
        }
        listener.start()
        return listener
    }
}
