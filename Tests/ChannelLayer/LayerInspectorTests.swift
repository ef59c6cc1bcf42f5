import Broker
import NIOCore
import NIOPosix
import RedisClient
import Synchronization
import TestSupport
import Testing

@testable import ChannelLayer

/// The queries behind the operator's commands.
struct LayerInspectorTests {
    private func inspector(_ cli: Cli) -> LayerInspector { LayerInspector(client: cli.client, keys: LayerKeys()) }

    @Test func `Who lists a group's connections, and anywhere lists all`() async throws {
        try await RedisServer.run { server in
            try await Cli.run(server) { cli in
                try await LayerHouse.run(server) { house in
                    let (first, _) = try await house.join("a.1", user: "42")
                    let (second, _) = try await house.join("b-2", user: "42")
                    let here = try await inspector(cli).who(in: GroupName("a.1"))
                    #expect(here.map(\.channel) == ["specific.gw-a!\(first)"])
                    let all = try await inspector(cli).whoAnywhere()
                    #expect(all.map(\.group) == ["a.1", "b-2"])
                    #expect(all.map(\.channel) == ["specific.gw-a!\(first)", "specific.gw-a!\(second)"])
                    #expect(all.allSatisfy { $0.json.contains(#""user":"42""#) })
                    #expect(try await inspector(cli).who(in: GroupName("nobody")).isEmpty)
                }
            }
        }
    }

    @Test func `Gateways tells of the living, with what they say of themselves`() async throws {
        try await RedisServer.run { server in
            try await Cli.run(server) { cli in
                #expect(try await inspector(cli).gateways().isEmpty)
                try await LayerHouse.run(server, { $0.gatewayFields = ["version": "1.2.3"] }) { _ in
                    try await waitUntil("the gateway's lease") { try await !inspector(cli).gateways().isEmpty }
                    let gateways = try await inspector(cli).gateways()
                    #expect(gateways.map(\.id) == ["gw-a"])
                    #expect(gateways.first?.fields["version"] == "1.2.3")
                }
            }
        }
    }

    @Test func `A send by hand loads the functions where Redis has none, and repeats nothing with the same key`()
        async throws
    {
        try await RedisServer.run { server in
            try await Cli.run(server) { cli in
                let inspector = inspector(cli), group = try GroupName("news")
                #expect(try await inspector.libraryState() == .missing)
                func send(_ json: String, key: String?) async throws -> Receipt {
                    let answer = try await inspector.send(
                        ByteBuffer(string: json), to: group, SendOptions(ttl: 60, key: key), logger: quiet)
                    guard case .sent(let receipt) = answer else { throw BackplaneError(.refused, "scheduled") }
                    return receipt
                }
                let first = try await send(#"{"n":1}"#, key: "once")
                #expect(try await inspector.libraryState() == .usable(FunctionLibrary.version))
                #expect(first.position.offset == 1 && first.gateways == 0)
                #expect(try await send(#"{"n":1}"#, key: "once") == first)
                #expect(try await send(#"{"n":2}"#, key: nil).position.offset == 2)
                #expect(try await cli("XLEN", "tocsin:log:news").int == 2)
            }
        }
    }

    @Test func `A newer library in Redis is left alone, an older one is replaced`() async throws {
        try await RedisServer.run { server in
            try await Cli.run(server) { cli in
                func load(_ version: Int) async throws {
                    let answer = "function(_, args) return args[1] and {\(version), 1} or \(version) end"
                    let text = "#!lua name=tocsin\nredis.register_function('tocsin_version', \(answer))"
                    try await cli("FUNCTION", "LOAD", "REPLACE", text)
                }
                try await load(999)
                try await FunctionLibrary.ensureLoaded(LayerFunctions(keys: LayerKeys()), by: cli.client, logger: quiet)
                #expect(try await inspector(cli).libraryState() == .usable(999))
                try await load(0)
                try await FunctionLibrary.ensureLoaded(LayerFunctions(keys: LayerKeys()), by: cli.client, logger: quiet)
                #expect(try await inspector(cli).libraryState() == .usable(FunctionLibrary.version))
            }
        }
    }

    @Test func `A user without the right to load functions is told how it can be done`() async throws {
        let users = ["--user", "weak", "on", ">s3cret", "~*", "&*", "+@all", "-function"]
        try await RedisServer.run(arguments: { _ in users }) { server in
            let address = try RedisAddress("redis://weak:s3cret@127.0.0.1:\(server.port)/3")
            let client = try await RedisClient.start(
                RedisConfiguration(address: address, clientName: "weak"),
                on: MultiThreadedEventLoopGroup.singleton.next(),
                logger: quiet)
            try await client.waitUntilUp(.seconds(30))
            let error = await #expect(throws: RedisError.self) {
                try await FunctionLibrary.ensureLoaded(LayerFunctions(keys: LayerKeys()), by: client, logger: quiet)
            }
            #expect(error?.message.contains("cat redis/tocsin.lua | redis-cli -x FUNCTION LOAD REPLACE") == true)
            await client.close()
        }
    }
}
