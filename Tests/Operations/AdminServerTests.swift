import Broker
import Foundation
import NIOCore
import NIOPosix
import TestSupport
import Testing

@testable import Operations

/// The admin port over plain TCP.
struct AdminServerTests {
    struct House {
        let port: Int
        let readiness: Readiness
        let metrics: Metrics
        let fleet: FakeFleet

        /// Sends a request and returns everything up to the end of the connection.
        func ask(_ request: String) async throws -> String {
            let raw = try await RawClient.connect(port: port)
            try await raw.send(request)
            return try await raw.rest()
        }

        func get(_ path: String, method: String = "GET", _ headers: [String] = []) async throws -> String {
            let lines = ["\(method) \(path) HTTP/1.1", "Connection: close"] + (headers.isEmpty ? ["Host: x"] : headers)
            return try await ask((lines + ["", ""]).joined(separator: "\r\n"))
        }

        /// As a program on this machine asks: without a body.
        func read(_ path: String, method: String = "GET") async throws -> String {
            try await get(path, method: method, ["Host: 127.0.0.1"])
        }

        func post(
            _ path: String, _ body: String, _ headers: [String] = [], method: String = "POST"
        ) async throws -> String {
            let lines = [
                "\(method) \(path) HTTP/1.1", "Host: 127.0.0.1", "Connection: close",
                "Content-Length: \(body.utf8.count)",
            ]
            return try await ask((lines + headers + ["", body]).joined(separator: "\r\n"))
        }

        static func body(_ answer: String) -> String {
            answer.components(separatedBy: "\r\n\r\n").last?.trimmingCharacters(in: .newlines) ?? ""
        }

        private struct Told: Decodable {
            struct Error: Decodable {
                var code: String
                var message: String
                var remedy: String
            }
            var error: Error
        }

        /// An error for programs and for people.
        static func expectError(
            _ answer: String, _ status: Int, _ code: String, sourceLocation: SourceLocation = #_sourceLocation
        ) throws {
            #expect(answer.hasPrefix("HTTP/1.1 \(status) "), "\(answer)", sourceLocation: sourceLocation)
            let told = try JSONDecoder().decode(Told.self, from: Data(body(answer).utf8)).error
            #expect(told.code == code, sourceLocation: sourceLocation)
            #expect(!told.message.isEmpty && !told.remedy.isEmpty, sourceLocation: sourceLocation)
        }
    }

    /// - Parameter host: the host that the port claims to be bound to; it is on loopback in any case.
    static func run(
        key: String? = nil, host: String = "127.0.0.1", _ body: (House) async throws -> Void
    ) async throws {
        let readiness = Readiness(), metrics = Metrics(), fleet = FakeFleet()
        let access = try AdminAccess(key: key, host: host)
        let server = try await AdminServer.start(
            host: "127.0.0.1", port: 0, access: access, readiness: readiness, metrics: metrics,
            administration: fleet, on: .singleton)
        let result: Result<Void, any Error>
        do {
            result = .success(
                try await body(
                    House(
                        port: server.address!.port!, readiness: readiness, metrics: metrics, fleet: fleet)))
        } catch {
            result = .failure(error)
        }
        await server.stop()
        try result.get()
    }

    private func run(_ body: (House) async throws -> Void) async throws { try await Self.run(body) }

    @Test func `healthz is 200 while the process lives, ready or not`() async throws {
        try await run { house in
            let answer = try await house.get("/healthz")
            #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\n"))
            #expect(answer.hasSuffix("\r\n\r\nok\n"))
        }
    }

    @Test func `readyz is 503 with its reasons, and 200 without any`() async throws {
        try await run { house in
            var answer = try await house.get("/readyz")
            #expect(answer.hasPrefix("HTTP/1.1 503 "))
            #expect(answer.hasSuffix("not ready: starting; Redis is not reachable\n"))
            house.readiness.set(.starting, false)
            house.readiness.set(.redis, false)
            answer = try await house.get("/readyz?verbose")
            #expect(answer.hasPrefix("HTTP/1.1 200 "))
            #expect(answer.hasSuffix("\r\n\r\nready\n"))
            house.readiness.set(.draining, true)
            answer = try await house.get("/readyz")
            #expect(answer.hasPrefix("HTTP/1.1 503 "))
            #expect(answer.hasSuffix("not ready: draining\n"))
        }
    }

    @Test func `A request that offers another protocol is the last of its connection`() async throws {
        try await run { house in
            let request = [
                "GET /healthz HTTP/1.1", "Host: x", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c",
                "HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA", "", "",
            ]
            let answer = try await house.ask(request.joined(separator: "\r\n"))
            #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\n") && answer.contains("Connection: close\r\n"))
        }
    }

    @Test func `metrics are Prometheus' text`() async throws {
        try await run { house in
            house.metrics.counter("things_total", #"kind="a""#, help: "Things.").add(7)
            let answer = try await house.get("/metrics")
            #expect(answer.hasPrefix("HTTP/1.1 200 "))
            #expect(answer.lowercased().contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"))
            #expect(
                answer.hasSuffix(
                    "# HELP things_total Things.\n# TYPE things_total counter\nthings_total{kind=\"a\"} 7\n"))
        }
    }

    @Test func `An unknown path is 404, another method 405`() async throws {
        try await run { house async throws in
            for path in ["/nothing", "//metrics", "/metrics/", "/METRICS", "/%2e%2e/metrics", "/healthz/..;/metrics"] {
                #expect(try await house.get(path).hasPrefix("HTTP/1.1 404 "), "\(path)")
            }
            for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
                #expect(try await house.get("/metrics", method: method).hasPrefix("HTTP/1.1 405 "), "\(method)")
            }
        }
    }

    @Test func `HEAD answers as GET does, without the body`() async throws {
        try await run { house in
            let answer = try await house.get("/healthz", method: "HEAD")
            #expect(answer.hasPrefix("HTTP/1.1 200 "))
            #expect(answer.lowercased().contains("content-length: 3\r\n"))
            #expect(answer.hasSuffix("\r\n\r\n"))
        }
    }

    @Test func `Several requests share a connection, and are answered in their order`() async throws {
        try await run { house in
            let answer = try await house.ask(
                "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /nothing HTTP/1.1\r\nHost: x\r\n\r\n"
                    + "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            let statuses = answer.matches(of: /HTTP\/1\.1 (\d+)/).map { String($0.1) }
            #expect(statuses == ["200", "404", "200"])
        }
    }

    @Test(arguments: [
        "GARBAGE\r\n\r\n", "GET /healthz HTTP/1.1\r\nHost : x\r\n\r\n", "GET /healthz HTTP/1.1\r\nX: \0\r\n\r\n",
    ])
    func `What is no HTTP is 400 and the end`(request: String) async throws {
        try await run { house in
            let answer = try await house.ask(request)
            #expect(answer.hasPrefix("HTTP/1.1 400 "))
        }
    }

    @Test func `An address that is taken is named, with the key that sets it`() async throws {
        try await run { house in
            let error = await #expect(throws: AdminError.self) {
                try await AdminServer.start(
                    host: "127.0.0.1", port: house.port, access: try AdminAccess(key: nil, host: "127.0.0.1"),
                    readiness: Readiness(), metrics: Metrics(), administration: FakeFleet(), on: .singleton)
            }
            #expect(error?.description.hasPrefix("cannot listen on 127.0.0.1:\(house.port) (gateway.admin): ") == true)
        }
    }
}
