import NIOCore
import TestSupport
import Testing

@testable import RedisClient

/// Subscriptions on a real server.
struct RedisSubscriberTests {
    private func run(
        _ change: (inout RedisConfiguration) -> Void = { _ in },
        _ body: (RedisServer, RedisClient, Listener) async throws -> Void
    ) async throws {
        try await RedisServer.run { server in
            let url = "redis://127.0.0.1:\(server.port)"
            try await RedisClient.run(url) { client in
                try await Listener.run(url, change) { listener in
                    try await client.ready()
                    try await listener.live()
                    try await body(server, client, listener)
                }
            }
        }
    }

    private func subscribed(_ client: RedisClient) async throws -> Set<String> {
        Set((try await client.send(RedisCommand("PUBSUB", "CHANNELS")).array ?? []).compactMap(\.text))
    }

    @Test func `What is published after the confirmation is received, binary and empty too`() async throws {
        try await run { _, client, listener in
            try await listener.subscribe(["news"])
            let payloads = [ByteBuffer(bytes: UInt8.min...UInt8.max), ByteBuffer(), ByteBuffer(string: "\r\n*1\r\n")]
            for payload in payloads {
                var publish = RedisCommand("PUBLISH", "news")
                publish.append(payload)
                #expect(try await client.send(publish).int == 1)
            }
            _ = try await client.send(RedisCommand("PUBLISH", "other", "not for us"))
            try await waitUntil("three messages") { listener.heard.messages.count >= 3 }
            #expect(listener.heard.messages.map(\.payload) == payloads)
            #expect(listener.heard.messages.allSatisfy { $0.channel == "news" })
        }
    }

    @Test func `Ten thousand messages arrive in their order, and reads are fewer than messages`() async throws {
        try await run { _, client, listener in
            try await listener.subscribe(["news"])
            let futures = (0..<10_000).map { client.submit(RedisCommand("PUBLISH", "news", "\($0)")) }
            for future in futures { #expect(try await future.get().int == 1) }
            try await waitUntil("10,000 messages") { listener.heard.messages.count >= 10_000 }
            #expect(listener.texts == (0..<10_000).map(String.init))
            #expect(listener.heard.reads < 10_000)
        }
    }

    @Test func `More channels than one command takes are subscribed again after a restart`() async throws {
        try await run { server, client, listener in
            let channels = (0..<1200).map { "channel-\($0)" }
            try await listener.subscribe(channels)
            #expect(try await subscribed(client).count == 1200)
            try await server.stop()
            try await waitUntil("the loss to be seen") { listener.heard.losses.count == 1 }
            try await server.start()
            try await listener.live(times: 2)
            try await client.ready()
            #expect(try await subscribed(client) == Set(channels), "live means that every channel is confirmed")
            let futures = channels.map { client.submit(RedisCommand("PUBLISH", $0, $0)) }
            for future in futures { #expect(try await future.get().int == 1) }
            try await waitUntil("a message of each channel") { listener.heard.messages.count >= 1200 }
            #expect(listener.texts == channels)
        }
    }

    @Test func `Without a connection a subscribe fails at once`() async throws {
        try await run { server, _, listener in
            try await server.stop()
            try await waitUntil("the loss to be seen") { listener.heard.losses.count == 1 }
            let error = await #expect(throws: RedisError.self) { try await listener.subscribe(["news"]) }
            #expect(error?.code == .unavailable)
        }
    }

    @Test func `A subscribe that was on its way is told when the subscriber stops`() async throws {
        try await run { server, _, listener in
            await server.freeze()
            let future = try await listener.on { subscriber in
                let future = subscriber.subscribe("news")
                subscriber.stop()
                return future
            }
            let error = await #expect(throws: RedisError.self) { try await future.get() }
            #expect(error?.code == .stopped)
        }
    }

    @Test func `A frozen server is found by the probe alone, and after it thaws messages come again`() async throws {
        let probing = { (configuration: inout RedisConfiguration) in
            configuration.probeInterval = .milliseconds(50)
            configuration.commandTimeout = .seconds(1)
        }
        try await run(probing) { server, client, listener in
            try await listener.subscribe(["news"])
            await server.freeze()
            try await waitUntil("the loss to be seen") { !listener.heard.losses.isEmpty }
            #expect(listener.heard.losses.first?.code == .timeout)
            await server.thaw()
            try await waitUntil("a message") {
                _ = try await client.send(RedisCommand("PUBLISH", "news", "back"))
                return listener.texts.contains("back")
            }
        }
    }

    @Test func `A connection that the server kills comes back with its channels`() async throws {
        try await run { _, client, listener in
            try await listener.subscribe(["a", "b"])
            for time in 2...5 {
                _ = try await client.send(RedisCommand("CLIENT", "KILL", "TYPE", "pubsub"))
                try await listener.live(times: time)
                #expect(try await subscribed(client) == ["a", "b"])
            }
            #expect(listener.heard.losses.count == 4)
        }
    }

    @Test func `After any amount of joining and leaving exactly the wanted channels are subscribed`() async throws {
        try await run { _, client, listener in
            var generator = SeededGenerator(seed: 42)
            var wanted: Set<String> = []
            var futures: [EventLoopFuture<Void>] = []
            for _ in 0..<100 {
                let events = (0..<30).map { _ in
                    (
                        subscribe: Bool.random(using: &generator),
                        channel: "c\(Int.random(in: 0..<40, using: &generator))"
                    )
                }
                futures += try await listener.on { subscriber in
                    events.compactMap { subscribe, channel in
                        if subscribe { return subscriber.subscribe(channel) }
                        subscriber.unsubscribe(channel)
                        return nil
                    }
                }
                for (subscribe, channel) in events {
                    if subscribe { wanted.insert(channel) } else { wanted.remove(channel) }
                }
            }
            for future in futures {
                do { try await future.get() } catch { #expect((error as? RedisError)?.code == .stopped) }
            }
            try await waitUntil("the wanted channels") { try await subscribed(client) == wanted }
            #expect(try await listener.on { $0.channelCount } == wanted.count)
            #expect(listener.heard.losses.isEmpty)
        }
    }

    // MARK: Refused

    /// A server, a listener that is the user `app`, and a client with all rights.
    private func withUser(
        _ rules: [String], permanent: [String] = [], _ change: (inout RedisConfiguration) -> Void = { _ in },
        _ body: (RedisClient, Listener) async throws -> Void
    ) async throws {
        try await RedisServer.run { server in
            try await RedisClient.run("redis://127.0.0.1:\(server.port)") { client in
                try await client.ready()
                try await setUser(client, ["reset", "on", ">pw", "~*", "+@all"] + rules)
                try await Listener.run("redis://app:pw@127.0.0.1:\(server.port)", permanent: permanent, change) {
                    listener in
                    try await body(client, listener)
                }
            }
        }
    }

    private func setUser(_ client: RedisClient, _ rules: [String]) async throws {
        var command = RedisCommand("ACL", "SETUSER", "app")
        for rule in rules { command.append(rule) }
        _ = try await client.send(command)
    }

    private func dials(_ client: RedisClient) async throws -> Int {
        let line = try await client.send(RedisCommand("INFO", "stats")).text?.split(whereSeparator: \.isNewline)
            .first { $0.hasPrefix("total_connections_received:") }
        return line.flatMap { Int($0.split(separator: ":")[1]) } ?? 0
    }

    @Test func `A channel that is forbidden fails who asked for it, and nobody else`() async throws {
        try await withUser(["&news.*"]) { client, listener in
            try await listener.live()
            let wanted = (0..<100).map { "news.\($0)" }
            let futures = try await listener.on { subscriber in
                (wanted + ["secret"]).map { subscriber.subscribe($0) }
            }
            for future in futures.dropLast() { try await future.get() }
            let error = await #expect(throws: RedisError.self) { try await futures.last!.get() }
            #expect(error?.kind == "NOPERM" && error?.message.hasSuffix("(SUBSCRIBE secret)") == true)
            #expect(try await subscribed(client) == Set(wanted))
            #expect(listener.heard.losses.isEmpty && listener.heard.refusals.map(\.kind) == ["NOPERM"])
        }
    }

    @Test func `An error that answers the probe is no answer to a subscription`() async throws {
        try await withUser(["&*", "-ping"], { $0.probeInterval = .milliseconds(5) }) { client, listener in
            try await listener.live()
            for number in 0..<200 { try await listener.subscribe(["c\(number)"]) }
            #expect(try await subscribed(client).count == 200)
            #expect(listener.heard.losses.isEmpty && listener.heard.refusals.isEmpty)
        }
    }

    @Test func `Without the permanent channels nothing is live, and dials come further and further apart`() async throws
    {
        // What a number of attempts means is in BackoffTests.
        func attempts(_ listener: Listener) async throws -> (dials: Int, losses: Int) {
            try await listener.on { ($0.link.refusalBackoff.attempt, listener.heard.losses.count) }
        }
        try await withUser([], permanent: ["always"]) { client, listener in
            let before = try await dials(client)
            try await waitUntil("refusals") { listener.heard.losses.count >= 6 }
            #expect(listener.heard.losses.allSatisfy { $0.message.hasSuffix("(SUBSCRIBE always)") })
            let now = try await attempts(listener)
            #expect(now.dials == now.losses, "each delay is from a wider span than the one before")
            #expect(try await dials(client) - before <= listener.heard.losses.count + 1)
            #expect(listener.heard.timesLive == 0)
            try await setUser(client, ["&*"])
            try await listener.live()
            #expect(try await subscribed(client) == ["always"])
            #expect(try await attempts(listener).dials == 0, "and the next ones are short again")
        }
    }

    @Test func `Channels whose right is taken away end the connection with the reason, and are had again with it`()
        async throws
    {
        try await withUser(["&*"]) { client, listener in
            try await listener.live()
            try await listener.subscribe(["a", "b"])
            try await setUser(client, ["resetchannels", "&a"])
            try await waitUntil("the reason") {
                listener.heard.losses.contains { $0.message.hasSuffix("(SUBSCRIBE b)") }
            }
            try await setUser(client, ["&*"])
            try await listener.live(times: 2)
            #expect(try await subscribed(client) == ["a", "b"])
        }
    }
}
