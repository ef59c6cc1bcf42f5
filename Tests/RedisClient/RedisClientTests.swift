import NIOCore
import Synchronization
import TestSupport
import Testing

@testable import RedisClient

/// Commands against a real server.
struct RedisClientTests {
    private func withServer(
        _ arguments: [String] = [], _ change: (inout RedisConfiguration) -> Void = { _ in },
        _ body: (RedisServer, RedisClient) async throws -> Void
    ) async throws {
        try await RedisServer.run(arguments: { _ in arguments }) { server in
            try await RedisClient.run("redis://127.0.0.1:\(server.port)", change) { client in
                try await client.ready()
                try await body(server, client)
            }
        }
    }

    private func code(_ command: RedisCommand, _ client: RedisClient) async -> RedisError.Code? {
        do {
            _ = try await client.send(command)
            return nil
        } catch {
            return (error as? RedisError)?.code
        }
    }

    @Test func `A thousand commands at once are answered in their order`() async throws {
        try await withServer { _, client async throws in
            let order = Mutex<[Int]>([])
            let futures = (0..<1000).map { number in
                let future = client.submit(RedisCommand("ECHO", "\(number)"))
                future.whenSuccess { _ in order.withLock { $0.append(number) } }
                return future
            }
            for (number, future) in futures.enumerated() { #expect(try await future.get().int == number) }
            #expect(order.withLock { $0 } == Array(0..<1000))
        }
    }

    @Test func `A binary value of a megabyte comes back as it was`() async throws {
        try await withServer { _, client in
            let value = ByteBuffer(bytes: (0..<1 << 20).map { UInt8(truncatingIfNeeded: $0 &* 31) })
            var set = RedisCommand("SET", "key")
            set.append(value)
            _ = try await client.send(set)
            #expect(try await client.send(RedisCommand("GET", "key")).bytes == value)
        }
    }

    @Test func `A server's errors are errors of the server, with their first word`() async throws {
        try await withServer { _, client async throws in
            // READONLY is left out: it ends the connection.
            for text in ["LOADING Redis is loading the dataset in memory", "MISCONF x", "OOM y"] {
                let error = await #expect(throws: RedisError.self) {
                    try await client.send(RedisCommand("EVAL", "return redis.error_reply(ARGV[1])", "0", text))
                }
                #expect(error?.code == .server)
                #expect(error?.message.hasPrefix(text) == true)
                #expect(error?.kind == text.split(separator: " ")[0])
            }
            let unknown = await #expect(throws: RedisError.self) {
                try await client.send(RedisCommand("NOSUCHCOMMAND"))
            }
            #expect(unknown?.kind == "ERR")
            #expect(try await client.send(RedisCommand("PING")).text == "PONG", "the connection is as good as before")
        }
    }

    @Test func `A server that is busy with a script says so`() async throws {
        try await withServer(["--busy-reply-threshold", "20"]) { server, client in
            let script = try await RawClient.connect(port: server.port)
            try await script.send("*3\r\n$4\r\nEVAL\r\n$17\r\nwhile true do end\r\n$1\r\n0\r\n")
            try await waitUntil("BUSY") {
                do {
                    _ = try await client.send(RedisCommand("GET", "key"))
                    return false
                } catch let error as RedisError {
                    return error.code == .server && error.kind == "BUSY"
                }
            }
            _ = try await client.send(RedisCommand("SCRIPT", "KILL"))
            try await waitUntil("an idle server") { await code(RedisCommand("GET", "key"), client) == nil }
            await script.close()
        }
    }

    @Test func `A frozen server is a time-out, and after it thaws all is well again`() async throws {
        try await withServer([], { $0.commandTimeout = .milliseconds(300) }) { server, client in
            await server.freeze()
            #expect(await code(RedisCommand("INCR", "count"), client) == .timeout)
            // Now there is no connection: the next commands do not wait.
            #expect(await code(RedisCommand("INCR", "count"), client) == .unavailable)
            await server.thaw()
            try await client.ready()
        }
    }

    @Test func `While the server is away commands fail at once and name it; when it is back they work`() async throws {
        let states = Mutex<[Bool]>([])
        try await RedisServer.run { server in
            let onChange: @Sendable (Bool) -> Void = { isUp in states.withLock { $0.append(isUp) } }
            try await RedisClient.run("redis://127.0.0.1:\(server.port)", onStateChange: onChange) { client in
                try await client.ready()
                try await server.stop()
                try await waitUntil("the loss to be seen") { states.withLock { $0 } == [true, false] }
                let error = await #expect(throws: RedisError.self) { try await client.send(RedisCommand("PING")) }
                #expect(error?.code == .unavailable)
                #expect(error?.message.contains("no connection to redis://127.0.0.1:\(server.port)/3") == true)
                try await server.start()
                try await client.ready()
                #expect(states.withLock { $0 } == [true, false, true])
                #expect(await client.ask(RedisCommand("CLIENT", "INFO")).contains(" db=3 "))
            }
        }
    }

    @Test func `A server that dies with commands waiting loses their answers, and says so to each`() async throws {
        try await withServer { server, client in
            await server.freeze()
            let futures = try await client.eventLoop.submit {
                (0..<100).map { _ in client.submit(RedisCommand("INCR", "count")) }
            }.get()
            try await server.kill()
            var codes: [RedisError.Code?] = []
            for future in futures {
                do { _ = try await future.get() } catch { codes.append((error as? RedisError)?.code) }
            }
            #expect(codes == Array(repeating: .timeout, count: 100))
        }
    }

    @Test func `A replica's refusal of a write ends the connection, and the address is dialled again`() async throws {
        let reasons = Mutex<[RedisError]>([])
        try await RedisServer.run { server in
            try await RedisClient.run("redis://127.0.0.1:\(server.port)") { admin in
                try await admin.ready()
                let client = try await RedisClient.start(
                    .test("redis://127.0.0.1:\(server.port)"), on: admin.eventLoop, logger: quiet
                ) { event in
                    if case .down(let reason) = event { reasons.withLock { $0.append(reason) } }
                }
                try await client.ready()
                _ = try await admin.send(RedisCommand("REPLICAOF", "127.0.0.1", "1"))
                let error = await #expect(throws: RedisError.self) {
                    try await client.send(RedisCommand("SET", "key", "value"))
                }
                #expect(error?.kind == "READONLY")
                #expect(reasons.withLock { $0.map(\.kind) } == ["READONLY"])
                _ = try await admin.send(RedisCommand("REPLICAOF", "NO", "ONE"))
                try await client.ready()
                #expect(await client.ask(RedisCommand("SET", "key", "value")) == "OK")
                await client.close()
            }
        }
    }

    @Test func `A Redis that answers PING with an error is there`() async throws {
        try await withServer { server, client in
            _ = try await client.send(RedisCommand("ACL", "SETUSER", "app", "on", ">pw", "~*", "+@all", "-ping"))
            try await RedisClient.run("redis://app:pw@127.0.0.1:\(server.port)") { app in
                try await app.ready()
                #expect(await app.ask(RedisCommand("GET", "key")) == "nothing")
            }
        }
    }

    @Test func `More commands than may wait are refused, the others are not harmed`() async throws {
        try await withServer([], { $0.maximumWaiting = 5 }) { server, client in
            await server.freeze()
            let futures = try await client.eventLoop.submit {
                (0..<8).map { client.submit(RedisCommand("ECHO", "\($0)")) }
            }.get()
            for future in futures[5...] {
                let error = await #expect(throws: RedisError.self) { try await future.get() }
                #expect(error?.code == .overloaded)
            }
            await server.thaw()
            for (number, future) in futures[..<5].enumerated() { #expect(try await future.get().int == number) }
        }
    }

    @Test func `A server that takes no more clients says why, and is tried again`() async throws {
        try await RedisServer.run(arguments: { _ in ["--maxclients", "1"] }) { server in
            let first = try await RawClient.connect(port: server.port)
            try await first.send("PING\r\n")
            _ = try await first.take("PONG") { $0.count >= 7 ? ((), 7) : nil }
            try await RedisClient.run("redis://127.0.0.1:\(server.port)") { client in
                #expect(try await client.failure(with: "max number of clients reached").code == .unavailable)
                await first.close()
                try await client.ready()
            }
        }
    }

    @Test func `A reply beyond the maximum ends the connection, which comes back`() async throws {
        try await withServer([], { $0.maximumReplyBytes = 1000 }) { _, client in
            _ = try await client.send(RedisCommand("SET", "key", String(repeating: "x", count: 1001)))
            #expect(await code(RedisCommand("GET", "key"), client) == .timeout)
            try await client.ready()
            #expect(try await client.send(RedisCommand("GETRANGE", "key", "0", "999")).text?.utf8.count == 1000)
        }
    }

    @Test func `A closed client fails what waits and what comes`() async throws {
        try await withServer { server, client in
            await server.freeze()
            let waiting = client.submit(RedisCommand("PING"))
            await client.close()
            await #expect(throws: RedisError.self) { try await waiting.get() }
            #expect(await code(RedisCommand("PING"), client) == .unavailable)
        }
    }
}
