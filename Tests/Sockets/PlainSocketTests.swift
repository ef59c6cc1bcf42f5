import CSockets
import Glibc
import NIOCore
import TestSupport
import Testing

@testable import Sockets

/// A socket and its write queue, with the kernel: one end of a pair of Unix sockets, read by the test.
struct PlainSocketTests {
    @Test func `What is sent leaves behind what was written`() async throws {
        let pair = Pair()
        try await pair.onLoop { socket, _ in
            socket.write(ByteBuffer(string: "first "))
            socket.send(ByteBuffer(string: "second "))
            #expect(socket.pendingBytes == 0)
            socket.send(ByteBuffer(string: "third"))
            #expect(socket.pendingBytes == 0)
        }
        #expect(pair.read(18) == Array("first second third".utf8))
        try await pair.end()
    }

    @Test(arguments: [1, 1000, 70_000]) func `What the kernel does not take waits, and comes whole and in order`(
        size: Int
    ) async throws {
        let pair = Pair()
        let sent: [UInt8] = try await pair.onLoop { socket, owner in
            var sent: [UInt8] = [], number: UInt8 = 0
            // Some more after it is full, which must not overtake.
            var more = 5
            while more > 0 {
                let bytes = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 7) &+ number }
                socket.send(ByteBuffer(bytes: bytes))
                sent += bytes
                number &+= 1
                if socket.pendingBytes > 0 { more -= 1 }
            }
            #expect(owner.ends == 0)
            return sent
        }
        #expect(pair.read(sent.count) == sent)
        try await pair.end()
    }

    @Test func `A full socket says so, and says when there is room again`() async throws {
        let pair = Pair()
        let sent: Int = try await pair.onLoop { socket, owner in
            var sent = 0
            while socket.isWritable {
                socket.send(ByteBuffer(repeating: 1, count: 10_000))
                sent += 10_000
            }
            #expect(socket.pendingBytes > 20_000 && owner.rooms == 0)
            return sent
        }
        #expect(pair.read(sent).count == sent)
        try await waitUntil("word that there is room") { try await pair.onLoop { _, owner in owner.rooms > 0 } }
        try await pair.onLoop { socket, owner in
            #expect(socket.isWritable && socket.pendingBytes == 0 && owner.rooms == 1)
        }
        try await pair.end()
    }

    @Test func `A peer that is gone ends it once, and not within the call`() async throws {
        let pair = Pair()
        try await pair.onLoop { socket, owner in
            // On the loop, which cannot notice before the socket has been written to.
            pair.closePeer()
            // The kernel accepts the first one; the error comes at any time later.
            for _ in 0..<10_000 where socket.isWritable { socket.send(ByteBuffer(string: "nobody reads this")) }
            #expect(!socket.isWritable && socket.pendingBytes == 0 && owner.ends == 0)
        }
        try await waitUntil("the end") { try await pair.onLoop { _, owner in owner.ends > 0 } }
        try await pair.onLoop { _, owner in #expect(owner.ends == 1) }
        pair.loop.stop()
    }

    @Test func `What waits is sent before its end`() async throws {
        let pair = Pair()
        let sent: Int = try await pair.onLoop { socket, _ in
            var sent = 0
            while socket.pendingBytes == 0 {
                socket.send(ByteBuffer(repeating: 2, count: 50_000))
                sent += 50_000
            }
            socket.finish()
            socket.send(ByteBuffer(string: "too late"))
            return sent
        }
        #expect(pair.read(sent + 100).count == sent)
        try await pair.end()
    }
}

/// A socket on its own loop; the test has the other end.
private struct Pair: Sendable {
    let loop = SocketLoop(name: "test")
    private let peer: CInt
    private let bound: NIOLoopBound<(PlainSocket, Owner)>

    init() {
        var ends: [CInt] = [0, 0]
        precondition(socketpair(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0, &ends) == 0)
        peer = ends[1]
        let loop = loop, mine = ends[0]
        bound = try! loop.submit {
            let socket = PlainSocket(
                descriptor: mine, peer: PeerAddress(csockets_peer()), loop: loop,
                watermark: .init(low: 5000, high: 20_000))
            let owner = Owner()
            socket.owner = owner
            precondition(socket.start())
            return NIOLoopBound((socket, owner), eventLoop: loop)
        }.wait()
    }

    func onLoop<Result: Sendable>(_ body: @escaping @Sendable (PlainSocket, Owner) throws -> Result) async throws
        -> Result
    {
        try await loop.submit { try body(bound.value.0, bound.value.1) }.get()
    }

    /// Waits for this many bytes, or the end.
    func read(_ count: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 65_536)
        while bytes.count < count {
            let got = recv(peer, &piece, min(piece.count, count - bytes.count), 0)
            guard got > 0 else { break }
            bytes += piece[..<got]
        }
        return bytes
    }

    func closePeer() { close(peer) }

    func end() async throws {
        closePeer()
        loop.stop()
    }
}

private final class Owner: StreamSocketOwner {
    private(set) var rooms = 0
    private(set) var ends = 0
    func received(_ bytes: ByteBuffer) {}
    func becameWritable() { rooms += 1 }
    func ended() { ends += 1 }
}
