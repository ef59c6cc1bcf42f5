import Broker
import NIOCore
import TestSupport
import Testing

@testable import ChannelLayer
@testable import RedisClient

/// Whatever is lost in Redis is restored automatically.
struct HealingTests {
    /// Checks that membership is restored: the roster and the fleet's member exist, and a message arrives.
    private func expectWhole(_ house: LayerHouse, _ cli: Cli, _ connections: Set<ConnectionID>) async throws {
        let channels = Set(connections.map { "specific.gw-a!\($0)" })
        try await waitUntil("the whole roster") { (try? await Set(cli.roster("news").keys)) == channels }
        try await waitUntil("the fleet's member") {
            (try? await cli.texts("ZRANGE", "asgi:group:news", "0", "-1")) == [InboxMember.channel("news")]
        }
        let before = house.outlets[0].texts.count
        try await waitUntil("an accepted message") {
            (try? await house.send(#"{"back":1}"#, to: "news"))?.gateways == 1
        }
        #expect(try await house.outlets[0].texts(before + 1).last == #"news {"back":1}"#)
    }

    @Test func `A restart of Redis with nothing saved heals the membership of all`() async throws {
        try await LayerHouse.onServer { server, house, cli in
            var connections: Set<ConnectionID> = []
            for _ in 0..<100 { connections.insert(try await house.join("news").0) }
            try await server.stop()
            try await house.unready()
            #expect(house.metric("tocsin_redis_up") == 0)
            try await server.start()
            try await house.ready()
            try await expectWhole(house, cli, connections)
            #expect(house.metric("tocsin_redis_up") == 1)
        }
    }

    @Test func `While Redis is away joins and sends fail at once, and a leave is remembered`() async throws {
        try await LayerHouse.onServer { server, house, cli in
            let (leaver, _) = try await house.join("news")
            let (stayer, _) = try await house.join("news")
            try await server.stop()
            try await house.unready()
            for attempt in [{ _ = try await house.join("news") }, { _ = try await house.send("{}", to: "news") }] {
                let error = await #expect(throws: BackplaneError.self) { try await attempt() }
                #expect(error?.code == .unavailable)
            }
            try house.leave(leaver, "news")
            try await server.start()
            try await house.ready()
            try await expectWhole(house, cli, [stayer])
        }
    }

    @Test func `A leave that a frozen Redis did not confirm is owed`() async throws {
        try await LayerHouse.onServer({ $0.redis.commandTimeout = .milliseconds(500) }) { server, house, cli in
            let (leaver, _) = try await house.join("news")
            let (stayer, _) = try await house.join("news")
            await server.freeze()
            try house.leave(leaver, "news")
            try await house.unready()
            await server.thaw()
            try await expectWhole(house, cli, [stayer])
        }
    }

    @Test(.timeLimit(.minutes(2)))
    func `A backplane stops although Redis is frozen and a join and a leave are on their way`() async throws {
        try await LayerHouse.onServer({ $0.redis.commandTimeout = .milliseconds(500) }) { server, house, _ in
            let (connection, _) = try await house.join("news")
            await server.freeze()
            try house.leave(connection, "news")
            let member = Member(connection: .random(), user: nil)
            let join = house.backplane.groupAdd(member, to: try GroupName("other"), outlet: 0)
            await house.backplane.stop()
            await #expect(throws: BackplaneError.self) { try await join.get() }
        }
    }

    @Test(.timeLimit(.minutes(2)))
    func `A backplane that is stopped while it comes back, with a leave that is owed, stays stopped`() async throws {
        try await LayerHouse.onServer({ $0.redis.commandTimeout = .milliseconds(500) }) { server, house, cli in
            let (connection, _) = try await house.join("news")
            await server.freeze()
            try house.leave(connection, "news")
            try await house.unready()
            await server.thaw()
            try await waitUntil("a new connection") {
                try await cli("CLIENT", "LIST").text?.contains("name=gw-a") ?? false
            }
            // Its loop ends with the house, unless something keeps it busy.
            await house.backplane.stop()
        }
    }

    @Test func `FUNCTION FLUSH heals`() async throws {
        try await LayerHouse.onServer { _, house, cli in
            let (connection, _) = try await house.join("news")
            try await cli("FUNCTION", "FLUSH")
            try await waitUntil("the functions") { (try? await cli("FCALL", "tocsin_version", "0")) != nil }
            try await expectWhole(house, cli, [connection])
        }
    }

    @Test func `FLUSHDB heals with the next renewal of the lease`() async throws {
        try await LayerHouse.onServer { _, house, cli in
            var connections: Set<ConnectionID> = []
            for _ in 0..<10 { connections.insert(try await house.join("news").0) }
            try await cli("FLUSHDB")
            try await expectWhole(house, cli, connections)
        }
    }

    @Test func `The flush of a Django test suite heals too, and leaves our own keys alone`() async throws {
        try await LayerHouse.onServer { _, house, cli in
            let (connection, _) = try await house.join("news")
            let before = try await house.send(#"{"n":1}"#, to: "news").position
            // channels_redis' flush(): deletes every key with the prefix, in one script.
            try await cli("EVAL", "return redis.call('del', unpack(redis.call('keys', 'asgi*')))", "0")
            try await expectWhole(house, cli, [connection])
            let after = try await house.send(#"{"n":3}"#, to: "news").position
            #expect(after.isComparable(to: before))
        }
    }

    @Test func `What a dead gateway left is swept by a living one`() async throws {
        try await LayerHouse.onServer { _, house, cli in
            try await house.join("news")
            try await cli("FCALL", "group_add", "1", "asgi:group:news", "gw-dead", "60", "specific.gw-dead!1", "7", "")
            #expect(try await cli.roster("news").count == 2)
            // Swept once its lease has ended.
            try await cli("FCALL", "gateway_lease", "0", "asgi", "gw-dead", "1", "")
            try await waitUntil("the dead gateway's connections to go") { try await cli.roster("news").count == 1 }
            try await waitUntil("the dead gateway itself to go") {
                try await cli.texts("ZRANGE", "tocsin:gateways", "0", "-1") == ["gw-a"]
            }
        }
    }

    @Test func `A gateway that stops on purpose is swept at once, and its lease tells of it while it lives`()
        async throws
    {
        try await LayerHouse.onServer { server, house, cli in
            try await LayerHouse.run(server, id: "gw-b", { $0.leaseSeconds = 3600 }) { other in
                try await other.join("news")
                #expect(try await cli.texts("ZRANGE", "tocsin:gateways", "0", "-1").sorted() == ["gw-a", "gw-b"])
            }
            try await waitUntil("gw-b to be swept") {
                let gateways = try await cli.texts("ZRANGE", "tocsin:gateways", "0", "-1")
                return gateways == ["gw-a"] ? try await cli.roster("news").isEmpty : false
            }
            try await house.join("news")
            try await waitUntil("the lease to count the connection") {
                Dictionary(try await cli("HGETALL", "tocsin:gateway:gw-a").pairs) { $1 }["connections"] == "1"
            }
        }
    }

    @Test func `A refresh writes memberships again before they expire`() async throws {
        try await LayerHouse.onServer({ $0.refreshInterval = .milliseconds(100) }) { _, house, cli in
            let (connection, _) = try await house.join("news")
            try await cli("DEL", "asgi:group:news", "tocsin:roster:news")
            try await expectWhole(house, cli, [connection])
        }
    }
}
