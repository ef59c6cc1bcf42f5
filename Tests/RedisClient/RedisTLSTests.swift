import Foundation
import NIOCore
import NIOSSL
import TestSupport
import Testing

@testable import RedisClient

/// TLS with a real server, with authorities made for the test.
struct RedisTLSTests {
    /// Creates `NAME.crt` and `NAME.key` of an authority, and of a server certified by it.
    private func certificates(in place: RedisServer.Place, names: String) async throws {
        let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        for name in ["ca", "stranger"] {
            try await openssl(
                in: place,
                ["req", "-x509", "-days", "2", "-subj", "/CN=\(name)", "-keyout", "\(name).key", "-out", "\(name).crt"]
                    + key)
        }
        try await openssl(
            in: place, ["req", "-subj", "/CN=redis", "-keyout", "server.key", "-out", "server.csr"] + key)
        try "subjectAltName=\(names)\n".write(toFile: place.file("names"), atomically: true, encoding: .utf8)
        try await openssl(
            in: place,
            [
                "x509", "-req", "-in", "server.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days",
                "2",
                "-extfile", "names", "-out", "server.crt",
            ])
    }

    private func openssl(in place: RedisServer.Place, _ arguments: [String]) async throws {
        let process = try ChildProcess(["sh", "-c", "cd \"$0\" && exec openssl \"$@\"", place.directory] + arguments)
        try await waitUntil("openssl to end") { !process.isRunning }
        try #require(process.wait() == 0, "openssl \(arguments)")
    }

    private func run(names: String = "IP:127.0.0.1,DNS:localhost", _ body: (RedisServer) async throws -> Void)
        async throws
    {
        try await RedisServer.run(
            prepare: { try await certificates(in: $0, names: names) },
            arguments: { place in
                [
                    "--port", "0", "--tls-port", "\(place.port)", "--tls-cert-file", place.file("server.crt"),
                    "--tls-key-file", place.file("server.key"), "--tls-ca-cert-file", place.file("ca.crt"),
                    "--tls-auth-clients", "no",
                ]
            }, body)
    }

    private func trust(_ name: String, of server: RedisServer) throws -> TLSConfiguration {
        var tls = TLSConfiguration.makeClientConfiguration()
        tls.trustRoots = .certificates(try NIOSSLCertificate.fromPEMFile(server.place.file("\(name).crt")))
        return tls
    }

    @Test func `A server whose authority is known is spoken to, by address and by name`() async throws {
        try await run { server in
            let tls = try trust("ca", of: server)
            for host in ["127.0.0.1", "localhost"] {
                try await RedisClient.run("rediss://\(host):\(server.port)/2", { $0.tls = { tls } }) { client in
                    try await client.ready()
                    #expect(await client.ask(RedisCommand("CLIENT", "INFO")).contains(" db=2 "))
                }
            }
        }
    }

    @Test func `A server whose authority is a stranger is refused before a word of the login`() async throws {
        try await run { server in
            let tls = try trust("stranger", of: server)
            try await RedisClient.run("rediss://u:Tr0ub4dor@127.0.0.1:\(server.port)", { $0.tls = { tls } }) { client in
                let error = try await client.failure(with: "CERTIFICATE_VERIFY_FAILED")
                #expect(error.code == .unavailable)
                #expect(!error.message.contains("Tr0ub4dor"))
            }
        }
    }

    @Test func `A server whose certificate is for another name is refused`() async throws {
        try await run(names: "DNS:redis.example.com") { server in
            let tls = try trust("ca", of: server)
            for host in ["127.0.0.1", "localhost"] {
                try await RedisClient.run("rediss://\(host):\(server.port)", { $0.tls = { tls } }) {
                    client async throws in
                    #expect(try await client.failure(with: "refused").code == .unavailable)
                }
            }
        }
    }

    @Test func `A plain address does not hang at a TLS port, and TLS does not at a plain one`() async throws {
        try await run { server in
            try await RedisClient.run("redis://127.0.0.1:\(server.port)") { client async throws in
                #expect(try await client.failure(with: "refused SELECT").code == .unavailable)
            }
        }
        try await RedisServer.run { server in
            let impatient = { (configuration: inout RedisConfiguration) in configuration.commandTimeout = .seconds(1) }
            try await RedisClient.run("rediss://127.0.0.1:\(server.port)", impatient) { client async throws in
                #expect(try await client.failure(with: "refused SELECT").code == .unavailable)
            }
        }
    }
}
