import NIOCore
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
        _ method: String = "GET", _ target: String = "/ws", version: String = "HTTP/1.1",
        replacing: [String: [String]] = [:], adding: Int = 0
    ) throws -> RequestHead {
        var fields = Self.good.filter { replacing[$0.0] == nil }
        for (name, values) in replacing { fields += values.map { (name, $0) } }
        fields += (0..<adding).map { ("X-\($0)", "") }
        return try RequestHead(
            text: "\(method) \(target) \(version)\r\n" + fields.map { "\($0): \($1)\r\n" }.joined() + "\r\n")
    }

    /// nil: it may become a WebSocket.
    private func refusal(_ head: RequestHead) -> Refusal? {
        do throws(Refusal) {
            try HandshakeGuard.checkRequest(head)
            _ = try HandshakeGuard.checkUpgrade(head)
            return nil
        } catch {
            return error
        }
    }

    @Test func `A handshake as browsers send it is let through with its key`() throws {
        #expect(refusal(try head()) == nil)
        #expect(try HandshakeGuard.checkUpgrade(try head()).key == "dGhlIHNhbXBsZSBub25jZQ==")
    }

    @Test(arguments: [
        ["Upgrade": ["WebSocket"]], ["Connection": ["keep-alive, Upgrade"]], ["Connection": ["keep-alive", "upgrade"]],
        ["Upgrade": ["h2c, websocket"]], ["Content-Length": ["0"]],
        ["Sec-WebSocket-Extensions": ["permessage-deflate"]],
        ["Sec-WebSocket-Protocol": ["chat"]], ["Sec-WebSocket-Key": ["AAAAAAAAAAAAAAAAAAAAAA=="]],
        ["Sec-WebSocket-Key": ["+/+/+/+/+/+/+/+/+/+/+g=="]],
    ])
    func `Other spellings of the same are let through`(change: [String: [String]]) throws {
        #expect(refusal(try head(replacing: change)) == nil)
    }

    @Test(arguments: ["POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "CONNECT", "TRACE", "GETS"])
    func `S12: another method is 405 and names the one there is`(method: String) throws {
        let refusal = refusal(try head(method))
        #expect(refusal?.status == .methodNotAllowed)
        #expect(refusal?.headers.contains { $0 == ("Allow", "GET") } == true)
    }

    @Test func `An OPTIONS is let through where a browser asks for a page, and only there`() throws {
        let asked = ["Origin": ["http://a"], "Access-Control-Request-Method": ["GET"]]
        try HandshakeGuard.checkRequest(try head("OPTIONS", replacing: asked))
        for name in asked.keys {
            let rest = asked.filter { $0.key != name }
            #expect(throws: Refusal.self) { try HandshakeGuard.checkRequest(try head("OPTIONS", replacing: rest)) }
        }
        #expect(throws: Refusal.self) { try HandshakeGuard.checkRequest(try head("POST", replacing: asked)) }
    }

    @Test(arguments: [
        "HTTP/1.0", "HTTP/2.0", "HTTP/3", "HTTP/1.2", "HTTP/0.9", "HTTP/1.1.1", "HTTP/11",
    ])
    func `S12: another HTTP is 400`(version: String) throws {
        #expect(refusal(try head(version: version))?.status == .badRequest)
    }

    @Test(arguments: [[], [""], ["a", "b"], ["example.com", "example.com"]])
    func `S12: no Host, an empty one or two are 400`(hosts: [String]) throws {
        #expect(refusal(try head(replacing: ["Host": hosts]))?.status == .badRequest)
    }

    @Test(arguments: ["http://example.com/ws", "ws://example.com/ws", "*", "example.com:80", "ws"])
    func `S12: a target that is no path is 400`(uri: String) throws {
        #expect(refusal(try head("GET", uri))?.status == .badRequest)
    }

    @Test(arguments: [
        ["Connection": ["keep-alive"]], ["Connection": []], ["Connection": ["Upgraded"]], ["Upgrade": ["h2c"]],
        ["Upgrade": []],
        ["Upgrade": ["websockets"]], ["Upgrade": ["websocket/13"]],
    ])
    func `S12: what asks for no WebSocket is 426 and told what there is`(change: [String: [String]]) throws {
        let refusal = refusal(try head(replacing: change))
        #expect(refusal?.status == .upgradeRequired)
        #expect(refusal?.headers.contains { $0 == ("Upgrade", "websocket") } == true)
    }

    @Test(arguments: [
        [], ["8"], ["12"], ["777"], ["013"], [""], ["13, 8"], ["8, 13"], ["13", "13"], ["13", "8"],
        ["8", "13"],
    ])
    func `S12: another version, none or two are 426 and told the one there is`(versions: [String]) throws {
        let refusal = refusal(try head(replacing: ["Sec-WebSocket-Version": versions]))
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
    func `S12: a key that is not 16 bytes in base64, or two, are 400`(keys: [String]) throws {
        #expect(refusal(try head(replacing: ["Sec-WebSocket-Key": keys]))?.status == .badRequest)
    }

    @Test(arguments: [
        ["Transfer-Encoding": ["chunked"]], ["Transfer-Encoding": ["xchunked"]], ["Transfer-Encoding": ["identity"]],
        ["Transfer-Encoding": [""]], ["Content-Length": ["5"]], ["Content-Length": ["00"]],
        ["Content-Length": ["0", "0"]],
        ["Content-Length": ["0, 0"]], ["Content-Length": [""]], ["Content-Length": ["-1"]],
        ["Content-Length": ["0"], "Transfer-Encoding": ["chunked"]],
    ])
    func `S13: a body, framed in whatever way, is 400 whatever else is right`(change: [String: [String]]) throws {
        #expect(refusal(try head(replacing: change))?.status == .badRequest)
        #expect(refusal(try head("POST", replacing: change))?.status == .badRequest)
    }

    @Test func `S9: more than 64 headers are 431`() throws {
        let most = 64 - Self.good.count
        #expect(refusal(try head(adding: most)) == nil)
        #expect(refusal(try head(adding: most + 1))?.status == .requestHeaderFieldsTooLarge)
    }

    /// RFC 6455 section 1.3.
    @Test func `The answer to the key is the RFC's`() {
        #expect(SwitchingAnswer.accept("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    }
}

extension RequestHead {
    struct NoHead: Error {}

    /// - Throws: when the text is not a complete head.
    init(text: String) throws {
        var parser = RequestHeadParser()
        guard case .head(let head, _) = parser.feed(ByteBuffer(string: text)) else { throw NoHead() }
        self = head
    }
}
