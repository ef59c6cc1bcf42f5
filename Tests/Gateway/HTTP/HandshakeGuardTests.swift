import NIOHTTP1
import Testing

@testable import Gateway

/// FAULTS S12 and S13, as far as the parsed head shows them.
struct HandshakeGuardTests {
    private static let good = [
        ("Host", "example.com"), ("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ]

    private func head(
        _ method: HTTPMethod = .GET, _ uri: String = "/ws", version: HTTPVersion = .http1_1,
        replacing: [String: [String]] = [:]
    ) -> HTTPRequestHead {
        var headers = HTTPHeaders(Self.good)
        for (name, values) in replacing {
            headers.remove(name: name)
            for value in values { headers.add(name: name, value: value) }
        }
        return HTTPRequestHead(version: version, method: method, uri: uri, headers: headers)
    }

    /// nil: it may become a WebSocket.
    private func refusal(_ head: HTTPRequestHead) -> Refusal? {
        do throws(Refusal) {
            try HandshakeGuard.checkRequest(head)
            _ = try HandshakeGuard.checkUpgrade(head)
            return nil
        } catch {
            return error
        }
    }

    @Test func `A handshake as browsers send it is let through with its key`() throws {
        #expect(refusal(head()) == nil)
        #expect(try HandshakeGuard.checkUpgrade(head()).key == "dGhlIHNhbXBsZSBub25jZQ==")
    }

    @Test(arguments: [
        ["Upgrade": ["WebSocket"]], ["Connection": ["keep-alive, Upgrade"]], ["Connection": ["keep-alive", "upgrade"]],
        ["Upgrade": ["h2c, websocket"]], ["Content-Length": ["0"]],
        ["Sec-WebSocket-Extensions": ["permessage-deflate"]],
        ["Sec-WebSocket-Protocol": ["chat"]], ["Sec-WebSocket-Key": ["AAAAAAAAAAAAAAAAAAAAAA=="]],
        ["Sec-WebSocket-Key": ["+/+/+/+/+/+/+/+/+/+/+g=="]],
    ])
    func `Other spellings of the same are let through`(change: [String: [String]]) {
        #expect(refusal(head(replacing: change)) == nil)
    }

    @Test(arguments: [HTTPMethod.POST, .HEAD, .PUT, .DELETE, .OPTIONS, .PATCH, .CONNECT, .TRACE, .RAW(value: "GETS")])
    func `S12: another method is 405 and names the one there is`(method: HTTPMethod) {
        let refusal = refusal(head(method))
        #expect(refusal?.status == .methodNotAllowed)
        #expect(refusal?.headers.contains { $0 == ("Allow", "GET") } == true)
    }

    @Test(arguments: [
        HTTPVersion.http1_0, .http2, .http3, HTTPVersion(major: 1, minor: 2), HTTPVersion(major: 0, minor: 9),
    ])
    func `S12: another HTTP is 400`(version: HTTPVersion) {
        #expect(refusal(head(version: version))?.status == .badRequest)
    }

    @Test(arguments: [[], [""], ["a", "b"], ["example.com", "example.com"]])
    func `S12: no Host, an empty one or two are 400`(hosts: [String]) {
        #expect(refusal(head(replacing: ["Host": hosts]))?.status == .badRequest)
    }

    @Test(arguments: ["http://example.com/ws", "ws://example.com/ws", "*", "example.com:80", "", "ws"])
    func `S12: a target that is no path is 400`(uri: String) {
        #expect(refusal(head(.GET, uri))?.status == .badRequest)
    }

    @Test(arguments: [
        ["Connection": ["keep-alive"]], ["Connection": []], ["Connection": ["Upgraded"]], ["Upgrade": ["h2c"]],
        ["Upgrade": []],
        ["Upgrade": ["websockets"]], ["Upgrade": ["websocket/13"]],
    ])
    func `S12: what asks for no WebSocket is 426 and told what there is`(change: [String: [String]]) {
        let refusal = refusal(head(replacing: change))
        #expect(refusal?.status == .upgradeRequired)
        #expect(refusal?.headers.contains { $0 == ("Upgrade", "websocket") } == true)
    }

    @Test(arguments: [
        [], ["8"], ["12"], ["777"], ["13 "], ["013"], [""], ["13, 8"], ["8, 13"], ["13", "13"], ["13", "8"],
        ["8", "13"],
    ])
    func `S12: another version, none or two are 426 and told the one there is`(versions: [String]) {
        let refusal = refusal(head(replacing: ["Sec-WebSocket-Version": versions]))
        #expect(refusal?.status == .upgradeRequired)
        #expect(refusal?.headers.contains { $0 == ("Sec-WebSocket-Version", "13") } == true)
    }

    @Test(arguments: [
        [], [""], ["c2hvcnQ="], ["dGhlIHNhbXBsZSBub25j"], ["dGhlIHNhbXBsZSBub25jZTE3Yg=="], ["dGhlIHNhbXBsZSBub25jZQ"],
        ["dGhlIHNhbXBsZSBub25jZQ=!"], ["dGhlIHNhbXBsZSBub25jZ==="], ["dGhl HNhbXBsZSBub25jZQ=="],
        ["dGhlIHNhbXBsZSBub25j-_=="],
        ["dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ=="], ["dGhlIHNhbXBsZSBub25jZQ==, x"],
        ["éGhlIHNhbXBsZSBub25jZ=="],
    ])
    func `S12: a key that is not 16 bytes in base64, or two, are 400`(keys: [String]) {
        #expect(refusal(head(replacing: ["Sec-WebSocket-Key": keys]))?.status == .badRequest)
    }

    @Test(arguments: [
        ["Transfer-Encoding": ["chunked"]], ["Transfer-Encoding": ["xchunked"]], ["Transfer-Encoding": ["identity"]],
        ["Transfer-Encoding": [""]], ["Content-Length": ["5"]], ["Content-Length": ["00"]],
        ["Content-Length": ["0", "0"]],
        ["Content-Length": ["0, 0"]], ["Content-Length": [""]], ["Content-Length": ["-1"]],
        ["Content-Length": ["0"], "Transfer-Encoding": ["chunked"]],
    ])
    func `S13: a body, framed in whatever way, is 400 whatever else is right`(change: [String: [String]]) {
        #expect(refusal(head(replacing: change))?.status == .badRequest)
        #expect(refusal(head(.POST, replacing: change))?.status == .badRequest)
    }

    @Test func `S9: more than 64 headers are 431`() {
        var head = head()
        while head.headers.count < 64 { head.headers.add(name: "X-\(head.headers.count)", value: "") }
        #expect(refusal(head) == nil)
        head.headers.add(name: "X-One-More", value: "")
        #expect(refusal(head)?.status == .requestHeaderFieldsTooLarge)
    }

    /// RFC 6455 section 1.3.
    @Test func `The answer to the key is the RFC's`() {
        #expect(SwitchingAnswer.accept("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    }

    @Test func `Every refusal's reason is a metric's label`() {
        let changes: [[String: [String]]] = [
            ["Host": []], ["Upgrade": []], ["Sec-WebSocket-Version": []], ["Sec-WebSocket-Key": []],
            ["Content-Length": ["1"]],
        ]
        for change in changes {
            #expect(GatewayMetrics.reasons.contains(refusal(head(replacing: change))?.reason ?? "none"))
        }
        #expect(GatewayMetrics.reasons.contains(refusal(head(.POST))?.reason ?? "none"))
    }
}
