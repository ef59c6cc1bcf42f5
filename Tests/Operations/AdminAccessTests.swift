import Broker
import TestSupport
import Testing

@testable import Operations

/// Access control of the admin port.
struct AdminAccessTests {
    private static let key = "0123456789abcdef0123456789abcdef"
    private let own = "Host: 127.0.0.1:9090"

    private func status(_ answer: String) -> Int { Int(answer.split(separator: " ").dropFirst().first ?? "") ?? 0 }

    @Test(arguments: ["0.0.0.0", "::", "10.0.0.1", "example.com", "127.example.com", "localhost.example.com", ""])
    func `Without a key it must be bound to loopback`(host: String) throws {
        let error = #expect(throws: AdminError.self) { try AdminAccess(key: nil, host: host) }
        #expect(error?.description.contains("gateway.admin_key") == true)
        _ = try AdminAccess(key: Self.key, host: host)
    }

    @Test(arguments: ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
    func `On loopback no key is needed`(host: String) throws { _ = try AdminAccess(key: nil, host: host) }

    @Test(arguments: ["", "short", "fifteen-letters", "with a space in it", "with-ümlaut-in-it!"])
    func `A key that is too short or cannot be a header is refused, and not repeated`(key: String) throws {
        let error = #expect(throws: AdminError.self) { try AdminAccess(key: key, host: "127.0.0.1") }
        #expect(key.isEmpty || error?.description.contains(key) == false)
    }

    @Test func `With a key the API wants it, health does not, and metrics do not on loopback`() async throws {
        try await AdminServerTests.run(key: Self.key) { house async throws in
            for headers in [
                [own], [own, "Authorization: Bearer wrong"], [own, "Authorization: Basic \(Self.key)"],
                [own, "Authorization: Bearer \(Self.key)x"], [own, "Authorization: Bearer"],
            ] {
                let answer = try await house.get("/v1/users/42/connections", method: "DELETE", headers)
                #expect(status(answer) == 401 && answer.contains("WWW-Authenticate: Bearer"))
                #expect(answer.contains(#""code":"unauthorized""#))
            }
            #expect(house.fleet.ended.isEmpty)
            let answer = try await house.get(
                "/v1/users/42/connections", method: "DELETE", [own, "Authorization: bearer \(Self.key)"])
            #expect(status(answer) == 200 && answer.hasSuffix("{\"gateways\":2,\"living\":3}\n"))
            for path in ["/healthz", "/metrics", "/"] { #expect(try await status(house.get(path)) == 200) }
        }
    }

    @Test func `Where others reach it, metrics want the key, too`() async throws {
        try await AdminServerTests.run(key: Self.key, host: "0.0.0.0") { house async throws in
            #expect(try await status(house.get("/metrics")) == 401)
            #expect(try await status(house.get("/metrics", [own, "Authorization: Bearer \(Self.key)"])) == 200)
            #expect(try await status(house.get("/healthz")) == 200)
            #expect(try await status(house.get("/readyz")) == 503)
        }
    }

    @Test(arguments: [["Host: evil.example"], ["Host: 127.0.0.1", "Origin: http://evil.example"], ["X: no Host"]])
    func `Without a key a web page is not answered, whatever name it has for this machine`(
        headers: [String]
    ) async throws {
        try await AdminServerTests.run { house async throws in
            let answer = try await house.get("/v1/users/42/connections", method: "DELETE", headers)
            #expect(status(answer) == 403 && house.fleet.ended.isEmpty)
        }
    }

    @Test(arguments: ["127.0.0.1:9090", "localhost", "[::1]:9090", "10.1.2.3"])
    func `Without a key a program on this machine is answered`(host: String) async throws {
        try await AdminServerTests.run { house async throws in
            let path = "/v1/users/a%20b%2Fc/connections"
            #expect(try await status(house.get(path, method: "DELETE", ["Host: \(host)"])) == 200)
            #expect(house.fleet.ended == [.user("a b/c")])
        }
    }

    @Test func `Without Redis it is 503, and told when to come back`() async throws {
        try await AdminServerTests.run { house async throws in
            house.fleet.fail(BackplaneError(.unavailable, "away"))
            let answer = try await house.get("/v1/users/42/connections", method: "DELETE", [own])
            #expect(status(answer) == 503 && answer.contains("Retry-After: "))
            house.fleet.fail(BackplaneError(.refused, "no"))
            #expect(try await status(house.get("/v1/users/42/connections", method: "DELETE", [own])) == 400)
        }
    }

    @Test func `Another method is 405 and told which, an empty user nowhere`() async throws {
        try await AdminServerTests.run { house async throws in
            let answer = try await house.get("/v1/users/42/connections", [own])
            #expect(status(answer) == 405 && answer.contains("Allow: DELETE"))
            #expect(try await status(house.get("/v1/users//connections", method: "DELETE", [own])) == 404)
        }
    }

    @Test func `A comparison of keys says whether they are the same`() {
        let key = Array("secret".utf8)
        for other in ["", "s", "secre", "secrets", "Secret", "secreT", "secretsecret"] {
            #expect(!AdminAccess.equals(Array(other.utf8), key))
        }
        #expect(AdminAccess.equals(key, key))
    }
}
