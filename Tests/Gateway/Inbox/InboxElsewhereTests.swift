import Broker
import NIOCore
import Sockets
import Testing

@testable import Gateway

/// Inboxes of event streams and centrifuge clients.
struct InboxElsewhereTests {
    private typealias House = SessionHouse

    private func house() throws -> SessionHouse {
        let house = try SessionHouse.open()
        house.backplane.tracking = .inbox
        house.backplane.now = House.at(3)
        house.backplane.inbox = InboxState(unread: 2, read: House.at(1))
        return house
    }

    private func centrifuge() throws -> SessionHouse {
        let route = try Route(
            path: PathTemplate("/ws/{room}"), groups: [GroupTemplate("{room}")], clientProtocol: .centrifuge)
        let house = SessionHouse {
            $0.routes = [route]
            $0.allowedHosts = AllowedHosts(["*"])
        }
        house.shard.start()
        house.backplane.tracking = .inbox
        house.backplane.now = House.at(3)
        house.backplane.inbox = InboxState(unread: 2, read: House.at(1))
        return house
    }

    @Test func `A stream is told the state first, and each change of its user`() throws {
        let house = try house()
        let client = house.connect("GET /ws/g HTTP/1.1\r\nHost: example.com\r\nAccept: text/event-stream\r\n\r\n")
        #expect(
            client.takeText().hasSuffix("event: state\ndata: {\"unread\":2,\"read\":\"e.a:1\",\"group\":\"g\"}\n\n"))
        let state = InboxState(unread: 1, read: House.at(1))
        house.shard.deliver([.inbox(House.group, ReadStateChange(user: "u", state: state, mark: .one(House.at(3))))])
        #expect(
            client.takeText()
                == "event: state\ndata: {\"unread\":1,\"read\":\"e.a:1\",\"read_one\":\"e.a:3\",\"group\":\"g\"}\n\n")
    }

    @Test func `A full stream is told the latest state when it has room`() throws {
        let house = try house(), client = house.eventStream()
        client.isWritable = false
        for unread in [5, 4] {
            let state = InboxState(unread: unread, read: House.at(1))
            house.shard.deliver([.inbox(House.group, ReadStateChange(user: "u", state: state))])
        }
        client.isWritable = true
        client.owner?.becameWritable()
        client.flush()
        #expect(client.takeText() == "event: state\ndata: {\"unread\":4,\"read\":\"e.a:1\",\"group\":\"g\"}\n\n")
    }

    @Test func `A stream in a group without an inbox is told no state`() throws {
        let house = try house()
        house.backplane.tracking = .receipts
        let client = house.connect("GET /ws/g HTTP/1.1\r\nHost: example.com\r\nAccept: text/event-stream\r\n\r\n")
        #expect(!client.takeText().contains("event:") && house.backplane.pages.isEmpty)
    }

    private func say(_ client: KeptSocket, _ text: String) -> String {
        client.arrive(FrameMaker.text(text).bytes)
        return client.takeRaw().filter { $0.opcode == 1 }.map { String(decoding: $0.payload, as: UTF8.self) }.joined(
            separator: "\n")
    }

    @Test func `A centrifuge client marks and reads by rpc`() throws {
        let house = try centrifuge(), client = house.webSocket()
        _ = say(client, #"{"id":1,"connect":{}}"#)
        let state = #"{"id":2,"rpc":{"data":{"unread":2,"read":"e.a:1"}}}"#
        for (method, data, mark) in [
            ("read", #"{"position":"e.a:3"}"#, ReadMark.upTo(House.at(3))),
            ("read_all", #"{"channel":"g"}"#, .all),
        ] {
            #expect(say(client, #"{"id":2,"rpc":{"method":"tocsin.\#(method)","data":\#(data)}}"#) == state)
            #expect(house.backplane.marks.last == mark)
        }
        for method in ["read_one", "unread_one"] {
            #expect(
                say(client, #"{"id":2,"rpc":{"method":"tocsin.\#(method)","data":{"position":"e.a:2"}}}"#)
                    == #"{"id":2,"rpc":{"data":{"unread":2,"read":"e.a:1","\#(method)":"e.a:2"}}}"#)
        }
        #expect(say(client, #"{"id":2,"rpc":{"method":"tocsin.state"}}"#) == state)
        #expect(
            say(client, #"{"id":2,"rpc":{"method":"tocsin.page","data":{"limit":5}}}"#)
                == #"{"id":2,"rpc":{"data":{"page":[],"unread":2,"read":"e.a:1"}}}"#)
        #expect(house.backplane.pages.last == "g newest 5")
    }

    @Test(arguments: [
        ("tocsin.nothing", "{}", 104), ("tocsin.read", "{}", 107), ("tocsin.read", #"{"position":"x"}"#, 107),
        ("tocsin.page", #"{"limit":0}"#, 107), ("tocsin.state", "[]", 107),
        ("tocsin.read_all", #"{"channel":"other"}"#, 103),
    ])
    func `What is no command, or is about another channel, is refused`(method: String, data: String, code: Int) throws {
        let house = try centrifuge(), client = house.webSocket()
        _ = say(client, #"{"id":1,"connect":{}}"#)
        let answer = say(client, #"{"id":2,"rpc":{"method":"\#(method)","data":\#(data)}}"#)
        #expect(answer.hasPrefix(#"{"id":2,"error":{"code":\#(code),"#), "\(answer)")
        #expect(house.backplane.marks.isEmpty)
    }

    @Test func `What Redis refuses is final, and what it cannot answer is not`() throws {
        let house = try centrifuge(), client = house.webSocket()
        _ = say(client, #"{"id":1,"connect":{}}"#)
        for (error, code) in [(BackplaneError.Code.refused, 107), (.unavailable, 100)] {
            house.backplane.inboxError = BackplaneError(error, "no")
            let answer = say(client, #"{"id":2,"rpc":{"method":"tocsin.read_all"}}"#)
            #expect(answer.hasPrefix(#"{"id":2,"error":{"code":\#(code),"#), "\(answer)")
        }
    }

    @Test func `A centrifuge client proves what it has by WebSocket pings, too`() throws {
        let house = try centrifuge(), client = house.webSocket()
        _ = say(client, #"{"id":1,"connect":{}}"#)
        house.deliver(House.publication(4))
        let frames = client.takeRaw()
        #expect(frames.map(\.opcode) == [1, 9])
        client.arrive(FrameMaker(opcode: 0xA, payload: frames[1].payload).bytes)
        #expect(house.backplane.confirmed.map(\.position) == [House.at(4)])
    }
}
