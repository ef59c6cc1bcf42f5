import Broker
import NIOCore
import Testing
import TestSupport

@testable import ChannelLayer
@testable import RedisClient

/// Gateways that differ, in version or configuration.
struct MixedFleetTests {
    /// The library as carried by another version of the gateways.
    private func library(version: Int, compatibleSince: Int) -> String {
        let source = String(buffer: FunctionLibrary.source)
        let own = FunctionLibrary.version
        return source.replacing("local VERSION = \(own)\n", with: "local VERSION = \(version)\n")
            .replacing("local COMPATIBLE_SINCE = 7 ", with: "local COMPATIBLE_SINCE = \(compatibleSince) ")
    }

    @Test func `A newer library that is compatible is used, and nothing is lost while it is loaded`() async throws {
        try await LayerHouse.onServer { server, house, cli in
            try await house.join("news")
            let newer = library(version: FunctionLibrary.version + 1, compatibleSince: FunctionLibrary.version)
            for number in 1...40 {
                if number == 10 { try await cli("FUNCTION", "LOAD", "REPLACE", newer) }
                try await house.send(#"{"n":\#(number)}"#, to: "news")
                // The next gateway of the rolling upgrade starts.
                guard number == 20 else { continue }
                try await LayerHouse.run(server, id: "gw-b") { other in
                    try await other.join("news")
                    #expect(try await other.send(#"{"n":"both"}"#, to: "news").gateways == 2)
                    #expect(try await other.outlets[0].texts(1) == [#"news {"n":"both"}"#])
                }
            }
            let expected = (1...20).map { #"news {"n":\#($0)}"# } + [#"news {"n":"both"}"#]
            #expect(try await house.outlets[0].texts(41) == expected + (21...40).map { #"news {"n":\#($0)}"# })
            #expect(house.outlets[0].losses.isEmpty)
            #expect(try await cli("FCALL", "tocsin_version", "0").int == FunctionLibrary.version + 1)
        }
    }

    @Test func `A library that is too new is said to be, and whoever is connected goes on to receive`() async throws {
        try await LayerHouse.onServer { _, house, cli in
            try await house.join("news")
            let tooNew = library(version: 99, compatibleSince: 98)
            try await cli("FUNCTION", "LOAD", "REPLACE", tooNew)
            try await house.unready()
            #expect(
                house.reasons == [
                    "the function library in Redis has version 99 and needs gateways of version 98 or newer; "
                        + "this one is of version \(FunctionLibrary.version): upgrade it"
                ])
            let error = await #expect(throws: BackplaneError.self) { try await house.join("news") }
            #expect(error?.code == .unavailable)
            try await cli("FCALL", "group_send", "1", "asgi:group:news", #"{"n":1}"#)
            #expect(try await house.outlets[0].texts(1) == [#"news {"n":1}"#])
            // This gateway must not put the older one back.
            #expect(try await cli("FCALL", "tocsin_version", "0").int == 99)
            try await cli("FUNCTION", "LOAD", "REPLACE", String(buffer: FunctionLibrary.source))
            try await house.ready()
            try await house.join("news")
        }
    }

    @Test func `A gateway does not start on a library that is too new`() async throws {
        try await LayerHouse.onServer { server, house, cli in
            try await cli("FUNCTION", "LOAD", "REPLACE", library(version: 99, compatibleSince: 98))
            try await house.unready()
            try await cli("CLIENT", "KILL", "TYPE", "NORMAL", "SKIPME", "yes")
            try await waitUntil("the reason after a new connection") {
                house.reasons.contains { $0.contains("upgrade it") }
            }
            #expect(try await cli("FCALL", "tocsin_version", "0").int == 99)
        }
    }

    /// A gateway configured without history would otherwise drop logged messages for its slow clients.
    @Test func `Whether a message is in the log is said by the message, whatever a gateway is configured with`()
        async throws
    {
        let live = GroupPolicy(match: "*", historySize: 0)
        try await RedisServer.run { server in
            try await Cli.run(server) { cli in
                try await LayerHouse.run(server, policies: [live]) { first in
                    try await first.join("news")
                    try await first.send(#"{"n":1}"#, to: "news")
                    try await LayerHouse.run(server, id: "gw-b") { second in
                        try await second.join("news")
                        try await first.send(#"{"n":2}"#, to: "news")
                        _ = try await (first.outlets[0].texts(2), second.outlets[0].texts(1))
                        #expect(first.outlets[0].publications.map(\.isLogged) == [false, true])
                        #expect(second.outlets[0].publications.map(\.isLogged) == [true])
                        let inspector = LayerInspector(client: cli.client, keys: LayerKeys())
                        try await waitUntil("the other configuration to be seen") {
                            try await inspector.gatewaysWithOtherPolicies() == ["gw-a"]
                        }
                    }
                }
            }
        }
    }

    @Test func `Joins and leaves are told where Redis' policy says so, whatever a gateway is configured with`()
        async throws
    {
        var tells = GroupPolicy(match: "*")
        tells.joinLeave = true
        try await RedisServer.run { server in
            try await LayerHouse.run(server) { first in
                // Its own configuration has no such policy; that of the second one is in force from then on.
                try await LayerHouse.run(server, id: "gw-b", policies: [tells]) { second in
                    try await first.join("news")
                    let (connection, _) = try await second.join("news", user: "42")
                    try second.leave(connection, "news")
                    func events() -> [String] {
                        first.outlets[0].deliveries.compactMap { delivery in
                            guard case .presence(_, let entry, let joined) = delivery, let user = entry.user else {
                                return nil
                            }
                            return "\(joined ? "+" : "-")\(user)"
                        }
                    }
                    try await waitUntil("join and leave") { events() == ["+42", "-42"] }
                }
            }
        }
    }
}
