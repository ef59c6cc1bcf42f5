import TestSupport
import Testing

@testable import Gateway

/// Which of a client's subprotocols is chosen.
struct SubprotocolTests {
    private func route(
        _ names: [String] = [], _ clientProtocol: ClientProtocol = .plain
    ) throws -> Route {
        try Route(
            path: PathTemplate("/a"), groups: [GroupTemplate("a")], clientProtocol: clientProtocol,
            subprotocols: names.map { try Subprotocol($0) })
    }

    private func choice(_ lines: String..., of route: Route) -> String? { SubprotocolOffer(lines).choice(of: route) }

    @Test func `The first of the client's that the route lists is chosen`() throws {
        let route = try route(["chat.v1", "chat.v2"])
        #expect(choice("chat.v3, chat.v2, chat.v1", of: route) == "chat.v2")
        #expect(choice("chat.v3", "chat.v1", of: route) == "chat.v1")
        #expect(choice("bearer.a.b.c, chat.v1", of: route) == "chat.v1")
        #expect(choice("chat.v3", of: route) == nil)
        #expect(choice("Chat.v1", of: route) == nil, "names have a case")
        #expect(choice("chat.v3, bearer.a.b.c", of: route) == nil, "it is not spoken, token or not")
    }

    @Test func `A route that lists none chooses none, but for a name beside a token`() throws {
        let route = try route()
        #expect(choice("chat.v1", of: route) == nil)
        #expect(choice("", of: route) == nil)
        #expect(choice("chat.v1, bearer.a.b.c, chat.v2", of: route) == "chat.v1")
        #expect(choice("bearer.a.b.c", "chat.v1", of: route) == "chat.v1")
        #expect(choice("sp ace, bearer.a.b.c, chat.v1", of: route) == "chat.v1")
    }

    @Test func `A token that is all that was offered is answered as it came`() throws {
        for route in try [route(), route(["chat.v1"]), route([], .centrifuge)] {
            #expect(choice("bearer.a.b.c", of: route) == "bearer.a.b.c")
            #expect(choice(" Bearer.a.b.c ", of: route) == "Bearer.a.b.c")
            #expect(choice("bearer.a, bearer.b", of: route) == nil)
            #expect(choice("bearer.a/b=", of: route) == nil, "that is no name of a subprotocol")
        }
    }

    @Test func `A centrifuge route speaks the JSON form, and never says that it speaks the other`() throws {
        let route = try route([], .centrifuge)
        #expect(choice("centrifuge-json", of: route) == "centrifuge-json")
        #expect(choice("centrifuge-protobuf, centrifuge-json", of: route) == "centrifuge-json")
        #expect(choice("centrifuge-protobuf", of: route) == nil)
        #expect(choice("centrifuge-protobuf, bearer.a.b.c", of: route) == nil)
        #expect(choice("centrifuge-json", of: try self.route()) == nil)
    }

    @Test func `Of the gateway's own names, plain routes speak tocsin.v1, and nobody the others`() throws {
        #expect(choice("tocsin.v1, bearer.a.b.c", of: try route()) == "tocsin.v1")
        #expect(choice("tocsin.v1", of: try route(["chat.v1"])) == "tocsin.v1")
        #expect(choice("chat.v1, tocsin.v1", of: try route(["chat.v1"])) == "chat.v1", "the client's order counts")
        #expect(choice("tocsin.v1", of: try route([], .centrifuge)) == nil)
        #expect(choice("tocsin.v2, x, bearer.a.b.c", of: try route()) == "x")
    }

    @Test(arguments: [
        "", " ", "a b", "a,b", "a/b", "é", "a\n", "bearer.x", "BEARER.x", "tocsin.v1", "centrifuge-protobuf",
    ])
    func `What no client can offer, or what means something else, is no name`(text: String) {
        #expect(throws: TemplateError.self) { try Subprotocol(text) }
    }

    @Test func `Tokens are found among the others, without their prefix`() {
        let offer = SubprotocolOffer(["chat, Bearer.secret,v2", "", "x ,bearer."])
        #expect(offer.tokens == ["secret", ""])
        #expect(offer.entries == ["chat", "Bearer.secret", "v2", "x", "bearer."])
    }

    @Test func `The choice is in the answer of a real port, and nothing where none is made`() async throws {
        try await GatewayHouse.run([try route(["chat.v1"])]) { house async throws in
            for (offered, chosen) in [("chat.v2, chat.v1", "chat.v1"), ("bearer.a", "bearer.a"), ("chat.v2", nil)] {
                let raw = try await RawClient.connect(port: house.port)
                try await raw.send(GatewayHouse.handshake("/a", ["Sec-WebSocket-Protocol: \(offered)"]))
                let answer = try await Browser(raw: raw).head()
                #expect(answer.status == 101 && answer.headers["sec-websocket-protocol"] == chosen)
                await raw.close()
            }
        }
    }
}
