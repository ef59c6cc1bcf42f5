import CSockets
import Glibc
import NIOCore
import Synchronization
import TestSupport
import Testing

@testable import Sockets

/// What tests of dialling have on the other side.
enum Dial {
    static let watermark = PlainSocket.Watermark(low: 10_000, high: 20_000)

    /// A port that is taken and not listened to: whoever connects is refused, and nobody else can get it meanwhile.
    static let closedPort: UInt16 = {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        precondition(bind(descriptor, to: address(0)))
        return UInt16(csockets_port(descriptor))
    }()

    static func bind(_ descriptor: CInt, to address: csockets_address) -> Bool {
        withUnsafeBytes(of: address.bytes) {
            Glibc.bind(descriptor, $0.assumingMemoryBound(to: sockaddr.self).baseAddress, address.length) == 0
        }
    }

    /// Something that listens.
    final class Door: Sendable {
        let port: UInt16
        private let descriptor: CInt

        init() {
            descriptor = csockets_listen("127.0.0.1", 0, 16)
            port = UInt16(csockets_port(descriptor))
        }

        deinit { csockets_close(descriptor) }

        /// The next connection; nil: none has come.
        func accept() -> CInt? {
            var peer = csockets_peer()
            let client = csockets_accept(descriptor, &peer)
            return client >= 0 ? client : nil
        }

        func awaitClient() async throws -> CInt {
            var client: CInt?
            try await waitUntil("a client") {
                client = accept()
                return client != nil
            }
            return client!
        }
    }

    static func address(_ port: UInt16) -> csockets_address {
        Dialler.addresses(of: "127.0.0.1", port)[0]
    }

    /// A resolver that answers when the test says so.
    final class Held: Sendable {
        private let waiting = Mutex<(@Sendable ([csockets_address]) -> Void)?>(nil)
        var resolver: Dialler.Resolver { { _, _, answer in self.waiting.withLock { $0 = answer } } }
        func answer(_ addresses: [csockets_address]) { waiting.withLock { $0 }?(addresses) }
    }
}

/// How they dial.
protocol Dialling {}

extension Dialling {
    func run(_ body: (SocketLoop) async throws -> Void) async throws {
        let loop = SocketLoop(name: "test")
        defer { loop.stop() }
        try await body(loop)
    }

    /// Dials, and hangs up at once: only the outcome counts.
    func dial(
        _ destination: Dialler.Destination = .host("any", port: 1), timeout: TimeAmount = .seconds(60),
        on loop: SocketLoop, resolver: @escaping Dialler.Resolver = Dialler.systemResolver
    ) -> EventLoopFuture<Void> {
        loop.flatSubmit {
            Dialler.dial(destination, timeout: timeout, loop: loop, watermark: Dial.watermark, resolver: resolver)
                .map { socket in
                    loop.preconditionInEventLoop()
                    #expect(socket.value.start())
                    socket.value.close()
                }
        }
    }

    func failure(_ future: EventLoopFuture<Void>) async -> String? {
        await #expect(throws: DialError.self) { try await future.get() }?.description
    }
}
