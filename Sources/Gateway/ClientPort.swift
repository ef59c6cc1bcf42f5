import NIOCore
import Sockets

/// The listening client port, with or without TLS. Called from any thread.
protocol ClientPort: Sendable {
    var port: Int { get }
    /// Stops accepting connections; open ones stay.
    func close() async
}

/// A client port without TLS.
struct PlainPort: ClientPort {
    let listener: NIOLoopBound<Listener>
    let loop: SocketLoop
    let port: Int

    func close() async { _ = try? await loop.submit { listener.value.close() }.get() }
}

/// A client port with TLS.
struct EncryptedPort: ClientPort {
    let channel: any Channel

    var port: Int { channel.localAddress?.port ?? 0 }
    func close() async { try? await channel.close().get() }
}
