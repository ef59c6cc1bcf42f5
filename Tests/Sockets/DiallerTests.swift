import CSockets
import Foundation
import Glibc
import NIOCore
import Synchronization
import TestSupport
import Testing

@testable import Sockets

/// What whoever dials may rely on. The resolver is the test's, the connections are loopback's.
struct DiallerTests: Dialling {
    // MARK: Reached

    @Test(arguments: ["127.0.0.1", "localhost"]) func `A host that listens is reached, by its address or its name`(
        host: String
    ) async throws {
        try await run { loop in
            let door = Dial.Door()
            try await dial(.host(host, port: Int(door.port)), on: loop).get()
            csockets_close(try await door.awaitClient())
        }
    }

    @Test func `A path is a Unix socket`() async throws {
        try await run { loop in
            let path = FileManager.default.temporaryDirectory.appending(path: "\(UUID().uuidString.prefix(8)).sock")
                .path
            defer { unlink(path) }
            var address = csockets_address()
            #expect(csockets_path(path, &address) == 0)
            let listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
            defer { csockets_close(listener) }
            #expect(Dial.bind(listener, to: address) && listen(listener, 1) == 0)
            try await dial(.path(path), on: loop).get()
        }
    }

    @Test func `A connection is silent until it is started, and loses nothing of what came before`() async throws {
        final class Owner: StreamSocketOwner {
            var bytes: [UInt8] = []
            func received(_ bytes: ByteBuffer) { self.bytes += bytes.readableBytesView }
            func becameWritable() {}
            func ended() {}
        }
        try await run { loop in
            let door = Dial.Door()
            let socket = try await loop.flatSubmit {
                Dialler.dial(
                    .host("127.0.0.1", port: Int(door.port)), timeout: .seconds(60), loop: loop,
                    watermark: Dial.watermark)
            }.get()
            let peer = try await door.awaitClient()
            #expect("early".withCString { csockets_send(peer, $0, 5) } == 5)
            let owner = try await loop.submit { NIOLoopBound(Owner(), eventLoop: loop) }.get()
            for _ in 0..<20 { try await loop.submit { #expect(owner.value.bytes.isEmpty) }.get() }
            try await loop.submit {
                socket.value.owner = owner.value
                #expect(socket.value.start())
            }.get()
            try await waitUntil("the bytes") {
                try await loop.submit { owner.value.bytes == Array("early".utf8) }.get()
            }
            csockets_close(peer)
        }
    }

    // MARK: Several addresses

    @Test func `Addresses are tried in the resolver's order, until one answers`() async throws {
        try await run { loop in
            let doors = [Dial.Door(), Dial.Door()]
            let ports = [Dial.closedPort, Dial.closedPort] + doors.map(\.port)
            try await dial(on: loop) { $2(ports.map(Dial.address)) }.get()
            csockets_close(try await doors[0].awaitClient())
            #expect(doors[0].accept() == nil && doors[1].accept() == nil)
        }
    }

    @Test func `Where none answers the last one's reason is told`() async throws {
        try await run { loop in
            var missing = csockets_address()
            #expect(csockets_path("/nowhere/at/all", &missing) == 0)
            let addresses = [missing, Dial.address(Dial.closedPort)]
            #expect(await failure(dial(on: loop) { $2(addresses) }) == "Connection refused")
            #expect(await failure(dial(on: loop) { $2(addresses.reversed()) }) == "No such file or directory")
        }
    }

    @Test func `The resolver is asked once, for the host and the port`() async throws {
        try await run { loop in
            let asked = Mutex<[String]>([])
            let error = await failure(
                dial(.host("redis.example", port: 70_000), on: loop) { host, port, answer in
                    asked.withLock { $0.append("\(host) \(port)") }
                    answer([])
                })
            #expect(error == "the host redis.example has no address")
            #expect(asked.withLock { $0 } == ["redis.example 65535"])
        }
    }

    @Test func `The system's resolver does not hold up the loop`() async throws {
        try await run { loop in
            let hasAnswered = loop.makePromise(of: Bool.self)
            loop.execute {
                Dialler.systemResolver("127.0.0.1", 1) { addresses in
                    hasAnswered.succeed(!loop.inEventLoop && addresses.count == 1)
                }
            }
            let isElsewhere = try await hasAnswered.futureResult.get()
            #expect(isElsewhere)
        }
    }

    // MARK: Not reached

    @Test func `What cannot be reached fails with its reason`() async throws {
        try await run { loop in
            let refused = await failure(dial(.host("127.0.0.1", port: Int(Dial.closedPort)), on: loop))
            #expect(refused == "Connection refused")
            #expect(await failure(dial(.path("/nowhere/at/all"), on: loop)) == "No such file or directory")
            let long = String(repeating: "x", count: 200)
            #expect(await failure(dial(.path(long), on: loop)) == "the socket's path is too long")
        }
    }

    @Test func `The time counts for the resolver too, whose late answer is nobody's`() async throws {
        try await run { loop in
            let door = Dial.Door(), held = Dial.Held()
            let error = await failure(dial(timeout: .milliseconds(20), on: loop, resolver: held.resolver))
            #expect(error == "no answer in time")
            held.answer([Dial.address(door.port)])
            // Behind what the answer brought to the loop.
            for _ in 0..<20 { try await loop.submit {}.get() }
            #expect(door.accept() == nil)
        }
    }

    @Test func `A time of nothing is over at once`() async throws {
        try await run { loop in
            #expect(
                await failure(dial(timeout: .zero, on: loop, resolver: Dial.Held().resolver)) == "no answer in time")
        }
    }

    // MARK: The loop's end

    @Test func `When the loop is stopped while the resolver is asked, whoever dialled is told`() async throws {
        let loop = SocketLoop(name: "test")
        let door = Dial.Door(), held = Dial.Held()
        let dialled = dial(on: loop, resolver: held.resolver)
        try await loop.submit {}.get()
        loop.stop()
        #expect(await failure(dialled) == "the loop was stopped")
        held.answer([Dial.address(door.port)])
        #expect(door.accept() == nil)
    }

    @Test func `When the loop is stopped while an address is tried, whoever dialled is told`() async throws {
        let loop = SocketLoop(name: "test")
        let door = Dial.Door()
        let dialled = loop.flatSubmit {
            let address = Dial.address(door.port)
            let future = Dialler.dial(
                .host("any", port: 1), timeout: .seconds(60), loop: loop, watermark: Dial.watermark
            ) { _, _, answer in
                // Before the loop learns that the connection stands: both come to it in one turn.
                answer([address])
                loop.stop()
            }
            return future.map { _ in }
        }
        #expect(await failure(dialled) == "the loop was stopped")
    }

    @Test func `After the loop's end nobody waits for ever`() async throws {
        let loop = SocketLoop(name: "test")
        loop.stop()
        try await waitUntil("the end of the loop") {
            do { try await loop.submit {}.get() } catch { return true }
            return false
        }
        let dialled = loop.makePromise(of: Void.self)
        loop.execute {
            Dialler.dial(.host("127.0.0.1", port: 1), timeout: .hours(1), loop: loop, watermark: Dial.watermark)
                .map { _ in }.cascade(to: dialled)
        }
        #expect(await failure(dialled.futureResult) == "the loop was stopped")
    }
}
