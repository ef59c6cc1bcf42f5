import Broker
import NIOCore
import NIOPosix
import NIOSSL
import Sockets

/// The listening socket of a client port with TLS. Connections are SwiftNIO channels, each on a loop that has a shard.
struct EncryptedIntake: Sendable {
    let group: MultiThreadedEventLoopGroup
    let shards: [NIOLoopBound<Shard>]
    let state: GatewayState
    let credentials: ServerCredentials

    /// `TCP_USER_TIMEOUT` is not set: the gateway's own pings detect dead peers, as on plain sockets.
    ///
    /// - Throws: when the address cannot be bound.
    func listen(on loops: [any EventLoop]) async throws -> any Channel {
        let byLoop = Dictionary(
            uniqueKeysWithValues: zip(loops, shards).map { (ObjectIdentifier($0.0), $0.1) })
        let high = state.initial.configuration.maximumPendingBytes
        return try await ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 4096)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.allowRemoteHalfClosure, value: false)
            .childChannelOption(.writeBufferWaterMark, value: .init(low: high / 4, high: high))
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    // There is a shard for every loop of the group.
                    try begin(channel, byLoop[ObjectIdentifier(channel.eventLoop)]!.value)
                }
            }
            .bind(host: state.initial.configuration.bind.host, port: state.initial.configuration.bind.port).get()
    }

    /// Adds the first handlers. TLS comes first, unless the connection starts with a PROXY header.
    private func begin(_ channel: any Channel, _ shard: Shard) throws {
        let peer = channel.remoteAddress.flatMap { PeerAddress($0) } ?? .none
        let greeting = TLSGreeting(channel, peer: peer, shard: shard)
        try channel.pipeline.syncOperations.addHandler(greeting)
        if state.initial.expectsProxyHeader(from: peer) {
            let header = ProxyHeaderHandler(greeting, credentials)
            try channel.pipeline.syncOperations.addHandler(header, position: .first)
        } else {
            try greeting.secure(credentials)
        }
    }
}
