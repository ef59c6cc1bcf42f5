import Foundation
import TestSupport
import Testing

@testable import RedisClient

/// The setup of a connection to a real server.
struct RedisLoginTests {
    private let users = [
        "--user", "gateway on >s3cret/ ~* &* +@all", "--user", "mute on >s3cret/ ~* &* +@all -client", "--user",
        "default off",
    ].flatMap { $0.hasPrefix("--") ? [$0] : $0.split(separator: " ").map(String.init) }

    @Test func `A user and a password log in`() async throws {
        try await RedisServer.run(arguments: { _ in users }) { server in
            try await RedisClient.run("redis://gateway:s3cret%2F@127.0.0.1:\(server.port)/3") { client in
                try await client.ready()
                #expect(await client.ask(RedisCommand("ACL", "WHOAMI")) == "gateway")
            }
        }
    }

    @Test func `A password alone logs the default user in`() async throws {
        try await RedisServer.run(arguments: { _ in ["--requirepass", "s3cret"] }) { server in
            try await RedisClient.run("redis://:s3cret@127.0.0.1:\(server.port)") { client in
                try await client.ready()
                #expect(await client.ask(RedisCommand("ACL", "WHOAMI")) == "default")
            }
        }
    }

    @Test func `A wrong password is said in words that do not repeat it`() async throws {
        try await RedisServer.run(arguments: { _ in users }) { server in
            try await RedisClient.run("redis://gateway:Tr0ub4dor@127.0.0.1:\(server.port)") { client in
                let error = try await client.failure(with: "WRONGPASS")
                #expect(error.code == .unavailable)
                #expect(error.message.contains("redis://gateway@127.0.0.1:\(server.port)/3 refused AUTH"))
                #expect(!error.message.contains("Tr0ub4dor"))
            }
        }
    }

    @Test func `A missing password is said in the server's words`() async throws {
        try await RedisServer.run(arguments: { _ in ["--requirepass", "s3cret"] }) { server in
            try await RedisClient.run("redis://127.0.0.1:\(server.port)") { client async throws in
                #expect(try await client.failure(with: "NOAUTH").code == .unavailable)
            }
        }
    }

    @Test func `The database of the address is selected, and the connection has its name`() async throws {
        try await RedisServer.run { server in
            try await RedisClient.run("redis://127.0.0.1:\(server.port)") { client in
                try await client.ready()
                let info = await client.ask(RedisCommand("CLIENT", "INFO"))
                #expect(info.contains(" db=3 "))
                #expect(info.contains(" name=a-test "))
                #expect(await client.ask(RedisCommand("SET", "here", "1")) == "OK")
            }
            try await RedisClient.run("redis://127.0.0.1:\(server.port)/0") { client in
                try await client.ready()
                #expect(await client.ask(RedisCommand("EXISTS", "here")) == "0")
            }
        }
    }

    @Test func `A database that the server does not have is said`() async throws {
        try await RedisServer.run { server in
            try await RedisClient.run("redis://127.0.0.1:\(server.port)/99") { client in
                _ = try await client.failure(with: "refused SELECT: ERR DB index is out of range")
            }
        }
    }

    @Test func `Without the right to set its name a connection still works`() async throws {
        try await RedisServer.run(arguments: { _ in users }) { server in
            try await RedisClient.run("redis://mute:s3cret%2F@127.0.0.1:\(server.port)") { client in
                try await client.ready()
                #expect(await client.ask(RedisCommand("ACL", "WHOAMI")) == "mute")
            }
        }
    }

    @Test func `A Unix socket is an address like any other`() async throws {
        try await RedisServer.run(arguments: { ["--unixsocket", $0.socket, "--requirepass", "s3cret"] }) { server in
            try await RedisClient.run("unix://:s3cret@\(server.place.socket)?db=5") { client in
                try await client.ready()
                #expect(await client.ask(RedisCommand("CLIENT", "INFO")).contains(" db=5 "))
            }
        }
    }

    @Test func `A socket that is not there is named`() async throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("no-redis-\(UUID())").path
        try await RedisClient.run("unix://\(path)") { client async throws in
            #expect(try await client.failure(with: "cannot connect to unix://\(path)?db=3").code == .unavailable)
        }
    }
}
