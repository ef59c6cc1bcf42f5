import NIOCore
import NIOPosix
import NIOSSL
import Sockets

extension RedisConnection {
    /// Connects, sets the connection up (AUTH, SELECT, CLIENT SETNAME) and returns it ready for commands.
    ///
    /// - Throws (as the future's error): `RedisError`, whose text names the address without its password.
    static func dial(_ configuration: RedisConfiguration, on eventLoop: any EventLoop) -> EventLoopFuture<
        NIOLoopBound<RedisConnection>
    > {
        let locator = configuration.locator
        return locator.locate(on: eventLoop).flatMap { address in
            dial(address, configuration, on: eventLoop).always { result in
                switch result {
                case .success: locator.verified(address, on: eventLoop)
                case .failure(let error): locator.disproved(address, RedisError(error), on: eventLoop)
                }
            }
        }
    }

    private static func dial(
        _ address: RedisAddress, _ configuration: RedisConfiguration, on eventLoop: any EventLoop
    ) -> EventLoopFuture<NIOLoopBound<RedisConnection>> {
        let connection = NIOLoopBound(
            RedisConnection(configuration, to: address, eventLoop: eventLoop), eventLoop: eventLoop)
        let dialled =
            if let loop = eventLoop as? SocketLoop {
                dialSocket(address, configuration, connection.value, on: loop)
            } else {
                dialChannel(address, configuration, connection, on: eventLoop)
            }
        return dialled.flatMapErrorThrowing { error in
            throw RedisError(.unavailable, "cannot connect to \(address): \(reason(error))")
        }.hop(to: eventLoop).flatMap { _ in
            connection.value.greet(configuration)
        }.map { connection }
    }

    /// Connects over a socket of the loop. TLS needs one of SwiftNIO's loops instead.
    private static func dialSocket(
        _ address: RedisAddress, _ configuration: RedisConfiguration, _ connection: RedisConnection, on loop: SocketLoop
    ) -> EventLoopFuture<Void> {
        let destination: Dialler.Destination
        switch address.transport {
        case .tcp(let host, let port): destination = .host(host, port: port)
        case .unix(let path): destination = .path(path)
        case .tls:
            return loop.makeFailedFuture(RedisError(.badAddress, "rediss:// cannot be served on this event loop"))
        }
        let bound = NIOLoopBound(connection, eventLoop: loop)
        return Dialler.dial(
            destination, timeout: configuration.connectTimeout, loop: loop,
            watermark: PlainSocket.Watermark(low: 1 << 20, high: 4 << 20)
        ).flatMapThrowing { socket in
            guard SocketWire(socket.value, bound.value) != nil else {
                throw RedisError(.unavailable, "the process has too many sockets")
            }
        }
    }

    private static func dialChannel(
        _ address: RedisAddress, _ configuration: RedisConfiguration, _ connection: NIOLoopBound<RedisConnection>,
        on eventLoop: any EventLoop
    ) -> EventLoopFuture<Void> {
        let bootstrap = ClientBootstrap(group: eventLoop)
            .connectTimeout(configuration.connectTimeout)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if case .tls(let host, _) = address.transport {
                        let context = try NIOSSLContext(configuration: configuration.tls())
                        try channel.pipeline.syncOperations.addHandler(
                            tlsHandler(context, host: configuration.serverName ?? host))
                    }
                    try channel.pipeline.syncOperations.addHandler(ChannelWire(connection.value))
                }
            }
        let dialled: EventLoopFuture<any Channel> =
            switch address.transport {
            case .tcp(let host, let port), .tls(let host, let port):
                bootstrap
                    .channelOption(.socketOption(.so_keepalive), value: 1)
                    .channelOption(.tcpOption(userTimeout), value: 20_000)
                    .connect(host: host, port: port)
            case .unix(let path): bootstrap.connect(unixDomainSocketPath: path)
            }
        return dialled.map { _ in }
    }

    /// The operating system's reason, without NIO's wrapping; only the first, even if the host has several addresses.
    private static func reason(_ error: any Error) -> String {
        guard let error = error as? NIOConnectionError else { return TLSTrouble.words(error) }
        if let first = error.connectionErrors.first { return "\(first.error)" }
        return "the host \(error.host) has no address"
    }

    /// `TCP_USER_TIMEOUT` (tcp(7)), milliseconds: unacknowledged bytes must not wait the kernel's 15 minutes.
    private static let userTimeout = NIOBSDSocket.Option(rawValue: 18)

    private static func tlsHandler(_ context: NIOSSLContext, host: String) throws -> NIOSSLClientHandler {
        do {
            return try NIOSSLClientHandler(context: context, serverHostname: host)
        } catch let error as NIOSSLExtraError where error == .cannotUseIPAddressInSNI {
            return try NIOSSLClientHandler(context: context, serverHostname: nil)
        }
    }
}
