import NIOCore
import Testing

@testable import Broker

@Suite struct CentrifugeWireTests {
    private func commands(_ text: String) throws -> [CentrifugeCommand] {
        try CentrifugeCommand.commands(in: ByteBuffer(string: text))
    }

    @Test func `A frame holds several commands, one a line, and the empty object answers a ping`() throws {
        let all = try commands("{\"id\":1,\"connect\":{}}\n{\"id\":2,\"subscribe\":{\"channel\":\"a\"}}\n\n{}")
        #expect(all.count == 3)
        #expect(all.map(\.id) == [1, 2, 0])
        guard case .connect = all[0].request, case .subscribe("a", nil) = all[1].request, case .pong = all[2].request
        else {
            Issue.record("\(all)")
            return
        }
    }

    @Test func `A recovery names epoch and offset, and its position is ours`() throws {
        let command = try commands(
            #"{"id":3,"subscribe":{"channel":"a","recover":true,"epoch":"5f3a.9c01ab23de","offset":17}}"#)[0]
        guard case .subscribe("a", let recovery?) = command.request else {
            Issue.record("\(command)")
            return
        }
        #expect(recovery.position == Position("5f3a.9c01ab23de:17"))
        #expect(CentrifugeCommand.Recovery(epoch: "someone's", offset: 1).position == nil)
        #expect(Position("5f3a.9c01ab23de:17")?.wireEpoch == "5f3a.9c01ab23de")
    }

    @Test(arguments: ["nonsense", "[]", "{\"id\":1", "{\"id\":1}x"])
    func `A frame that is no JSON objects is refused whole`(text: String) {
        #expect(throws: JSONError.self) { try commands(text) }
    }

    @Test(arguments: [
        #"{"id":-1,"ping":{}}"#, #"{"id":1e99,"ping":{}}"#, #"{"id":"x","ping":{}}"#, #"{"ping":{}}"#,
        #"{"id":{},"ping":{}}"#,
    ])
    func `An id that is no positive number counts as none`(text: String) throws {
        #expect(try commands(text)[0].id == 0)
    }

    @Test(arguments: [
        #"{"id":1,"subscribe":7}"#, #"{"id":1,"subscribe":[]}"#, #"{"id":1,"dance":{}}"#, #"{"id":1}"#,
    ])
    func `A command of another shape is unknown`(text: String) throws {
        guard case .unknown = try commands(text)[0].request else {
            Issue.record("\(text)")
            return
        }
    }

    @Test func `Replies are JSON of the protocol's shape`() throws {
        let group = try GroupName("g")
        let position = try #require(Position("5f3a.9c01ab23de:2"))
        let publication = Publication(group: group, position: position, json: ByteBuffer(string: #"{"a":1}"#))
        let subscribed = CentrifugeReply.Subscribed(position: position, recovered: true, publications: [publication])
        #expect(
            String(buffer: CentrifugeReply.subscribe(4, subscribed))
                == #"{"id":4,"subscribe":{"recoverable":true,"positioned":true,"epoch":"5f3a.9c01ab23de","offset":2,"was_recovering":true,"recovered":true,"publications":[{"data":{"a":1},"offset":2}]}}"#
        )
        #expect(
            String(buffer: CentrifugeReply.push(publication))
                == #"{"push":{"channel":"g","pub":{"data":{"a":1},"offset":2}}}"#)
        let live = Publication(group: group, position: nil, json: ByteBuffer(string: "{}"))
        #expect(String(buffer: CentrifugeReply.push(live)) == #"{"push":{"channel":"g","pub":{"data":{}}}}"#)
        #expect(
            String(buffer: CentrifugeReply.error(5, .internal))
                == #"{"id":5,"error":{"code":100,"message":"internal server error","temporary":true}}"#)
        for reply in [
            CentrifugeReply.connect(
                1, client: "c", version: "v", ttl: 60, ping: 25, node: "n",
                subs: [(group, subscribed), (group, subscribed)]),
            CentrifugeReply.refresh(1, client: "c", version: "v", ttl: nil),
            CentrifugeReply.refresh(1, client: "c", version: "v", ttl: 0),
            CentrifugeReply.history(2, [publication, publication], position: position),
            CentrifugeReply.presence(3, [.init(user: "\"4\n2", client: "c"), .init(user: "", client: "d")]),
            CentrifugeReply.presenceStats(4, clients: 2, users: 1), CentrifugeReply.empty(5, "unsubscribe"),
            CentrifugeReply.unsubscribe(group, code: 2500, reason: "insufficient state"), CentrifugeReply.ping,
        ] {
            #expect(throws: Never.self) { try JSONFields(reply) }
        }
    }
}
