import NIOCore
import Sockets

/// The listening socket, whatever its connections are made of. Called from any thread.
protocol ClientPort: Sendable {
    var port: Int { get }
    /// Accepts no more connections; open ones stay.
    func close() async
}

/// Without TLS.
struct PlainPort: ClientPort {
    let listener: NIOLoopBound<Listener>
    let loop: SocketLoop
    let port: Int

    func close() async { _ = try? await loop.submit { listener.value.close() }.get() }
}

/// With it.
struct EncryptedPort: ClientPort {
    let channel: any Channel

    var port: Int { channel.localAddress?.port ?? 0 }
    func close() async { try? await channel.close().get() }
}
