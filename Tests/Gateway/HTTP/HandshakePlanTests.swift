import Broker
import NIOCore
import NIOHTTP1
import Sockets
import Testing

@testable import Gateway

/// What a request is to become: all checks in order, without a socket.
struct HandshakePlanTests {
    private static let upgrade = [
        "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ]
    private static let events = ["Accept: text/event-stream"]
    private static let page = "https://app.example"

    private func configuration() throws -> GatewayConfiguration {
        let routes = [
            try Route(path: PathTemplate("/ws/{room}"), groups: [GroupTemplate("{room}")]),
            try Route(
                path: PathTemplate("/chat"), groups: [GroupTemplate("news")], subprotocols: [Subprotocol("chat.v1")]),
        ]
        return GatewayConfiguration(
            host: "127.0.0.1", port: 0, allowedHosts: AllowedHosts([Self.page]), routes: routes)
    }

    /// As text: `webSocket`, `eventStream CURSOR`, `answer STATUS`, `end`, or the refusal's status and reason.
    private func decide(
        _ fields: [String], to first: String = "GET /ws/a", origin: String? = page, isDraining: Bool = false,
        _ change: (inout GatewayConfiguration) throws -> Void = { _ in }
    ) throws -> (words: String, plan: HandshakePlan?) {
        var configuration = try configuration()
        try change(&configuration)
        let lines = ["\(first) HTTP/1.1", "Host: example.com"] + (origin.map { ["Origin: \($0)"] } ?? []) + fields
        let head = try RequestHead(text: lines.map { $0 + "\r\n" }.joined() + "\r\n")
        let peer = PeerAddress(try SocketAddress(ipAddress: "10.0.0.1", port: 5))!
        do throws(Refusal) {
            let decision = try HandshakePlan.decide(
                head, RequestOrigin(head, configuration.allowedHosts), from: peer, configuration,
                Router(routes: configuration.routes), isDraining: isDraining,
                pageHeaders: { $0.map { ["x-of-route-\($0)"] } ?? [] })
            switch decision {
            case .answer(let answer):
                return ("answer " + String(buffer: answer).split(separator: " ")[1], nil)
            case .endOfStream: return ("end", nil)
            case .handshake(let plan):
                switch plan.transport {
                case .webSocket: return ("webSocket", plan)
                case .eventStream(let cursor): return ("eventStream \(cursor ?? "-")", plan)
                case .command(let bytes): return ("command \(bytes)", plan)
                }
            }
        } catch {
            return ("\(error.status.code) \(error.reason.rawValue)", nil)
        }
    }

    @Test func `A WebSocket and a stream are planned with the path's values`() throws {
        let socket = try decide(Self.upgrade)
        #expect(socket.words == "webSocket")
        #expect(socket.plan?.route == 0 && socket.plan?.values == ["room": "a"] && socket.plan?.page == Self.page)
        #expect(try decide(Self.events).words == "eventStream -")
        #expect(try decide(Self.events + ["Last-Event-ID: g:1"]).words == "eventStream g:1")
        #expect(try decide(Self.events + ["Last-Event-ID: end"]).words == "end")
    }

    @Test func `Each check refuses with its own reason`() throws {
        #expect(try decide(Self.upgrade, to: "POST /ws/a").words == "405 method")
        #expect(try decide(Self.upgrade, to: "GET /nowhere").words == "404 not_found")
        #expect(try decide([]).words == "426 not_websocket")
        #expect(try decide(Self.upgrade.filter { !$0.contains("Version") }).words == "426 version")
        #expect(try decide(Self.upgrade, origin: "https://other.example").words == "403 origin")
        #expect(try decide(Self.upgrade, origin: nil).words == "403 origin")
        #expect(try decide(Self.events, origin: nil).words == "eventStream -", "a page's own EventSource sends none")
        #expect(try decide(Self.upgrade, isDraining: true).words == "503 draining")
        #expect(try decide(Self.upgrade + ["Transfer-Encoding: chunked"]).words == "400 malformed")
    }

    /// The first failing check is answered, so that a stranger learns nothing about later ones.
    @Test func `The checks come in their order`() throws {
        #expect(
            try decide([], to: "POST /nowhere", origin: "https://other.example", isDraining: true).words == "405 method"
        )
        #expect(
            try decide([], to: "GET /nowhere", origin: "https://other.example", isDraining: true).words
                == "404 not_found")
        #expect(try decide([], origin: "https://other.example", isDraining: true).words == "426 not_websocket")
        #expect(try decide(Self.upgrade, origin: "https://other.example", isDraining: true).words == "403 origin")
        #expect(try decide(Self.events + ["Last-Event-ID: end"], isDraining: true).words == "end")
    }

    @Test func `A preflight is answered to pages that are let in, with the route's headers`() throws {
        let asked = ["Access-Control-Request-Method: GET"]
        #expect(try decide(asked, to: "OPTIONS /ws/a").words == "answer 204")
        #expect(try decide(asked, to: "OPTIONS /nowhere").words == "answer 204")
        #expect(try decide(asked, to: "OPTIONS /ws/a", origin: "https://other.example").words == "403 origin")
    }

    @Test func `The demo page is there where it is asked for`() throws {
        #expect(try decide([], to: "GET /").words == "404 not_found")
        #expect(try decide([], to: "GET /") { $0.demoPage = true }.words == "answer 200")
    }

    @Test func `A subprotocol is chosen, and compression agreed on, for WebSockets`() throws {
        let offers = ["Sec-WebSocket-Protocol: other, chat.v1", "Sec-WebSocket-Extensions: permessage-deflate"]
        let plain = try decide(Self.upgrade + offers, to: "GET /chat").plan
        #expect(plain?.subprotocol == "chat.v1" && plain?.deflate == nil)
        let compressed = try decide(Self.upgrade + offers, to: "GET /chat") { $0.compression.isEnabled = true }.plan
        #expect(compressed?.deflate != nil)
        #expect(
            try decide(Self.events + offers, to: "GET /chat") { $0.compression.isEnabled = true }.plan?.deflate == nil)
    }

    @Test func `The client is whom trusted proxies say`() throws {
        let forwarded = Self.upgrade + ["X-Forwarded-For: 192.0.2.7"]
        #expect(try decide(forwarded).plan?.client.socketAddress?.ipAddress == "10.0.0.1")
        let client = try decide(forwarded) { $0.trustedProxies = try TrustedNetworks(["10.0.0.0/8"]) }.plan?.client
        #expect(client?.socketAddress?.ipAddress == "192.0.2.7")
    }

    @Test func `Every reason of a refusal has a series of its own`() {
        let metrics = Metrics(), gateway = GatewayMetrics(metrics)
        for reason in RefusalReason.allCases { gateway.refused(reason) }
        for reason in RefusalReason.allCases {
            let line = #"tocsin_handshakes_refused_total{reason="\#(reason.rawValue)"} 1"#
            #expect(metrics.prometheusText.contains(line + "\n"))
        }
    }
}
