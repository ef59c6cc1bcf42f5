import Broker
import NIOCore
import NIOEmbedded
import Testing

@testable import Gateway

/// Commands on inboxes by `POST`.
struct PostedCommandTests {
    private typealias House = SessionHouse

    private func house(groups: [String] = ["{room}"], hosts: [String] = ["*"]) throws -> SessionHouse {
        let house = try SessionHouse.open(groups: groups) { $0.allowedHosts = AllowedHosts(hosts) }
        house.backplane.inbox = InboxState(unread: 2, read: House.at(1))
        return house
    }

    private func post(
        _ house: SessionHouse, _ body: String, _ headers: [String] = [], type: String = "application/json"
    ) -> KeptSocket {
        house.connect(
            ([
                "POST /ws/g HTTP/1.1", "Host: example.com", "Content-Type: \(type)",
                "Content-Length: \(body.utf8.count)",
            ] + headers + ["", body]).joined(separator: "\r\n"))
    }

    private func answer(_ client: KeptSocket) throws -> (status: Int, body: String, headers: [String: String]) {
        let text = try HTTPText(client.takeText())
        return (text.status, text.body, text.headers)
    }

    @Test func `A command is answered with JSON, and the connection ends`() throws {
        let house = try house(), client = post(house, #"{"read_one":"e.a:2","ref":1}"#)
        let answer = try answer(client)
        #expect(answer.status == 200 && answer.body == #"{"unread":2,"read":"e.a:1","read_one":"e.a:2","ref":1}"#)
        #expect(answer.headers["content-type"] == "application/json" && client.isFinished)
        #expect(house.backplane.marks == [.one(House.at(2))] && house.shard.openCount == 0)
    }

    @Test func `A body may come in pieces`() throws {
        let house = try house()
        let head =
            "POST /ws/g HTTP/1.1\r\nHost: example.com\r\nContent-Type: application/json\r\nContent-Length: 17\r\n\r\n"
        let client = house.connect(head)
        for byte in #"{"read_all":true}"#.utf8 {
            #expect(client.take().isEmpty)
            client.arrive(CollectionOfOne(byte))
        }
        #expect(try answer(client).status == 200 && house.backplane.marks == [.all])
        client.arrive("more".utf8)
        #expect(house.backplane.marks.count == 1)
    }

    @Test(arguments: [
        ("nonsense", 400, "bad_command"), (#"{"read":"x"}"#, 400, "bad_position"),
        (#"{"state":true,"group":"other"}"#, 404, "unknown_group"), (#"{"send":{}}"#, 400, "not_allowed"),
    ])
    func `Bad input has a status and a code`(body: String, status: Int, code: String) throws {
        let answer = try answer(post(try house(), body))
        #expect(answer.status == status && answer.body.hasPrefix(#"{"error":{"code":"\#(code)","#))
    }

    @Test func `What Redis refuses is a conflict, and its absence a reason to come back`() throws {
        let house = try house()
        for (code, status) in [(BackplaneError.Code.refused, 409), (.unavailable, 503)] {
            house.backplane.inboxError = BackplaneError(code, "no")
            let answer = try answer(post(house, #"{"state":true}"#))
            #expect(answer.status == status && (answer.headers["retry-after"] != nil) == (status == 503))
        }
    }

    @Test func `With several groups a command names one`() throws {
        let house = try house(groups: ["{room}", "{room}.2"])
        #expect(try answer(post(house, #"{"state":true}"#)).body.contains("group_needed"))
        #expect(
            try answer(post(house, #"{"state":true,"group":"g.2"}"#)).body
                == #"{"unread":2,"read":"e.a:1","group":"g.2"}"#)
    }

    @Test func `A page of another origin may not post, and one of an allowed origin may read the answer`() throws {
        let house = try house(hosts: ["good.example"])
        #expect(try answer(post(house, #"{"read_all":true}"#, ["Origin: https://bad.example"])).status == 403)
        #expect(try answer(post(house, #"{"read_all":true}"#)).status == 403, "unlike a stream it changes something")
        #expect(house.backplane.marks.isEmpty)
        let good = try answer(post(house, #"{"read_all":true}"#, ["Origin: https://good.example"]))
        #expect(good.status == 200 && good.headers["access-control-allow-origin"] == "https://good.example")
    }

    @Test func `Other types, and bodies without an end or too long, are refused`() throws {
        let house = try house()
        #expect(try answer(post(house, "", type: "text/plain")).status == 405)
        let head = "POST /ws/g HTTP/1.1\r\nHost: example.com\r\nContent-Type: application/json\r\n"
        #expect(try answer(house.connect(head + "\r\n")).status == 411)
        #expect(try answer(house.connect(head + "Content-Length: -1\r\n\r\n")).status == 411)
        #expect(try answer(house.connect(head + "Content-Length: 99999999\r\n\r\n")).status == 413)
        #expect(try answer(house.connect(head + "Transfer-Encoding: chunked\r\n\r\n")).status == 400)
    }

    @Test func `A body that does not come has its time`() throws {
        let house = try house()
        let client = house.connect(
            "POST /ws/g HTTP/1.1\r\nHost: example.com\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n")
        house.pass(seconds: 10)
        #expect(try answer(client).status == 408)
    }
}
