import Foundation
import TestSupport
import Testing

@testable import Gateway

/// Responses of the client port to good and bad handshakes: FAULTS S8 to S13.
struct HandshakeServerTests {
    private static let good = GatewayHouse.handshake("/ws/a")

    @Test func `A good handshake is answered with 101 and the key's digest`() async throws {
        try await GatewayHouse.run { house in
            let raw = try await RawClient.connect(port: house.port)
            try await raw.send(Self.good)
            let answer = try await Browser(raw: raw).head()
            #expect(answer.status == 101)
            #expect(answer.headers["upgrade"] == "websocket")
            #expect(answer.headers["connection"] == "Upgrade")
            #expect(answer.headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
            #expect(house.metric("tocsin_connections_opened_total") == 1)
            #expect(house.metric("tocsin_connections") == 1)
            await raw.close()
            try await waitUntil("the end to be counted") { house.metric("tocsin_connections") == 0 }
            #expect(house.metric("tocsin_connections_closed_total") == 1)
        }
    }

    @Test func `A handshake that comes byte by byte is as good`() async throws {
        try await GatewayHouse.run { house in
            let raw = try await RawClient.connect(port: house.port)
            for byte in Self.good.utf8 { try await raw.send([byte]) }
            #expect(try await Browser(raw: raw).head().status == 101)
            await raw.close()
        }
    }

    /// The status, and the part of the request that is replaced, or all of it.
    private static let bad: [(Int, String, String)] = [
        (404, "/ws/a", "/"), (404, "/ws/a", "/nothing"), (404, "/ws/a", "/ws/a/b"), (404, "/ws/a", "//ws/a"),
        (404, "/ws/a", "/metrics"),
        (404, "/ws/a", "/ws/..;/metrics"), (404, "/ws/a", "/ws/%ff"), (400, "/ws/a", "/ws/a%20b"),
        (400, "/ws/a", "/ws/%00"),
        (400, "/ws/a", "/ws/a:b"), (400, "/ws/a", "/ws/" + String(repeating: "x", count: 100)),
        (405, "GET /ws/a", "POST /ws/a"), (405, "GET /ws/a", "OPTIONS /ws/a"), (400, "HTTP/1.1", "HTTP/1.0"),
        (400, "HTTP/1.1", "HTTP/2.0"),
        (400, "Host: example.com\r\n", ""), (400, "Host: example.com", "Host: a\r\nHost: b"),
        (400, "/ws/a", "http://example.com/ws/a"),
        (426, "Connection: Upgrade", "Connection: keep-alive"), (426, "Upgrade: websocket", "Upgrade: h2c"),
        (400, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""), (400, "dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ="),
        (426, "Version: 13", "Version: 8"), (426, "Version: 13", "Version: 12"), (426, "Version: 13", "Version: 777"),
        (426, "Version: 13", "Version: 13\r\nSec-WebSocket-Version: 8"),
        (400, "\r\n\r\n", "\r\nContent-Length: 5\r\n\r\nhello"),
        (400, "\r\n\r\n", "\r\nTransfer-Encoding: xchunked\r\n\r\n"),
        (400, "\r\n\r\n", "\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        (400, "\r\n\r\n", "\r\nTransfer-Encoding : chunked\r\n\r\n"),
        (400, "\r\n\r\n", "\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        (400, "\r\n\r\n", "\r\nContent-Length: 3\r\nContent-Length: 5\r\n\r\nhello"),
        (400, "Host: example.com", "Host: example.com\r\n folded"),
        (400, "\r\n", "\n"), (400, "Host: example.com", "Host: exa\0mple.com"),
        (400, "Host: example.com", "Host: example.com\rX: y"),
        (400, "Host: ", "Ho st: "), (400, "GET", "\u{16}\u{3}\u{1}"), (400, good, "GARBAGE\r\n\r\n"),
        (400, good, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        (400, good, "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nb\r\n"),
    ]

    @Test(arguments: bad.indices)
    func `A bad handshake is answered once with its status, and nothing behind it is answered`(index: Int) async throws
    {
        let (status, old, new) = Self.bad[index]
        try await GatewayHouse.run { house in
            let answer = try await house.answer(Self.good.replacing(old, with: new) + Self.good)
            #expect(answer.status == status, "\(answer)")
            #expect(answer.headers["connection"] == "close")
            #expect(
                answer.headers["content-length"] == String(answer.body.utf8.count), "one answer, and no other behind it"
            )
            #expect(answer.body.hasPrefix("\(status) ") && answer.body.hasSuffix("\n"))
            if status == 426 { #expect(answer.headers["sec-websocket-version"] == "13") }
            if status == 405 { #expect(answer.headers["allow"] == "GET") }
            #expect(house.server.connections == 0)
            #expect(house.metric("tocsin_connections_opened_total") == 0)
        }
    }

    @Test(arguments: [17 << 10, 40 << 10, 90 << 10])
    func `S8: a head that is too large is 431`(size: Int) async throws {
        try await GatewayHouse.run { house async throws in
            let header = "X-Large: " + String(repeating: "x", count: size)
            #expect(try await house.answer(GatewayHouse.handshake("/ws/a", [header])).status == 431)
            #expect(
                try await house.answer(GatewayHouse.handshake("/ws/" + String(repeating: "x", count: size))).status
                    == 431)
            #expect(house.refusals("headers") == 2)
            #expect(try await house.status("/ws/a", ["Cookie: " + String(repeating: "x", count: 9 << 10)]) == 101)
        }
    }

    @Test(arguments: [65, 257, 100_000])
    func `S9: too many headers are 431`(count: Int) async throws {
        try await GatewayHouse.run { house async throws in
            let headers = (0..<count).map { "X-\($0): y" }
            #expect(try await house.answer(GatewayHouse.handshake("/ws/a", headers)).status == 431)
        }
    }

    @Test func `S10, S11: a handshake that is not made in time ends, and a good one is not held up`() async throws {
        try await GatewayHouse.run { house in
            let silent = try await RawClient.connect(port: house.port)
            let slow = try await RawClient.connect(port: house.port)
            #expect(try await house.status("/ws/a") == 101)
            // A byte a second, for as long as the gateway puts up with it.
            var rest = Self.good.utf8[...]
            try await waitUntil("the end of both") {
                try? await slow.send(CollectionOfOne(rest.popFirst() ?? 0))
                try await house.pass()
                return silent.isEnded && slow.isEnded
            }
            #expect(try await HTTPText(silent.rest()).status == 408)
            #expect(try await HTTPText(slow.rest()).status == 408)
            #expect(house.refusals("timeout") == 2)
        }
    }

    @Test func `A refused client that does not end its side is ended`() async throws {
        try await GatewayHouse.run { house in
            let raw = try await RawClient.connect(port: house.port, keepsOpen: true)
            try await raw.send(GatewayHouse.handshake("/nothing"))
            #expect(try await HTTPText(raw.rest()).status == 404)
            try await waitUntil("the gateway to end the connection") {
                try await house.pass()
                do {
                    try await raw.send("still here")
                    return false
                } catch {
                    return true
                }
            }
        }
    }

    @Test func `The demo page is there when it is wanted, and only then`() async throws {
        let request = "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"
        try await GatewayHouse.run { house async throws in #expect(try await house.answer(request).status == 404) }
        let change = { (configuration: inout GatewayConfiguration) in
            configuration.demoPage = true
            configuration.demoCommand = #"redis-cli -s '/a "b" <c> & d' FCALL "#
        }
        try await GatewayHouse.run(change: change) { house async throws in
            let answer = try await house.answer(request)
            #expect(answer.status == 200)
            #expect(answer.headers["content-type"] == "text/html; charset=utf-8")
            #expect(answer.headers["content-security-policy"]?.contains("default-src 'none'") == true)
            #expect(answer.body.contains("<html"))
            #expect(
                answer.body.contains(#"data-command="redis-cli -s '/a &quot;b&quot; &lt;c> &amp; d' FCALL ""#))
        }
    }

    @Test func `An Origin that is not allowed is 403, and what is allowed is let in`() async throws {
        try await GatewayHouse.run(hosts: ["app.example"]) { house in
            #expect(try await house.status("/ws/a", ["Origin: https://app.example"]) == 101)
            for origins in [
                [], ["Origin: https://evil.example"], ["Origin: null"],
                ["Origin: https://app.example", "Origin: https://evil.example"],
                ["Origin: https://evil.example", "Origin: https://app.example"],
            ] {
                let answer = try await house.answer(GatewayHouse.handshake("/ws/a", origins))
                #expect(answer.status == 403, "\(origins)")
            }
            #expect(house.refusals("origin") == 5)
        }
    }
}
