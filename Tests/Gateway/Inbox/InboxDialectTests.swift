import Broker
import NIOCore
import NIOEmbedded
import Sockets
import Testing

@testable import Gateway

/// `tocsin.v1` over whole connections.
struct InboxDialectTests {
    private typealias House = SessionHouse
    private static let offer = ["Sec-WebSocket-Protocol: tocsin.v1"]

    private func house(
        _ tracking: Tracking = .inbox, groups: [String] = ["{room}"], receive: ReceivePolicy = .ignore,
        _ change: (inout GatewayConfiguration) -> Void = { _ in }
    ) throws -> SessionHouse {
        let house = try SessionHouse.open(groups: groups, receive: receive, change)
        house.backplane.tracking = tracking
        house.backplane.now = House.at(3)
        house.backplane.inbox = InboxState(unread: 2, read: House.at(1))
        return house
    }

    /// A connection, and what it was told first.
    private func open(_ house: SessionHouse, _ path: String = "/ws/g") -> (KeptSocket, first: [String]) {
        let client = house.connect(GatewayHouse.handshake(path, Self.offer))
        let text = client.take(), head = "\r\n\r\n".utf8
        let end = text.indices.first { text[$0...].starts(with: head) }.map { $0 + 4 } ?? text.endIndex
        #expect(String(decoding: text[..<end], as: UTF8.self).contains("\r\nSec-WebSocket-Protocol: tocsin.v1\r\n"))
        client.give(back: Array(text[end...]))
        return (client, texts(client))
    }

    /// The texts without the pings.
    private func texts(_ client: KeptSocket) -> [String] {
        client.takeRaw().filter { $0.opcode != 9 }.map { String(decoding: $0.payload, as: UTF8.self) }
    }

    private func say(_ client: KeptSocket, _ text: String) -> [String] {
        client.arrive(FrameMaker.text(text).bytes)
        return texts(client)
    }

    @Test func `A client is told its state, then each message with its position`() throws {
        let house = try house(), (client, first) = open(house)
        #expect(first == [#"{"unread":2,"read":"e.a:1"}"#])
        house.deliver(House.publication(4))
        #expect(texts(client) == [#"{"id":"e.a:4","message":{"n":4},"read":false}"#])
    }

    @Test func `A group without an inbox has no state, and no marks`() throws {
        let house = try house(.none), (client, first) = open(house)
        #expect(first == [])
        #expect(say(client, #"{"read_all":true,"ref":1}"#)[0].hasPrefix(#"{"error":{"code":"unknown_group","#))
        #expect(house.backplane.marks.isEmpty && house.backplane.pages.isEmpty)
        house.deliver(House.publication(4))
        #expect(client.takeFrames() == [#"1 {"id":"e.a:4","message":{"n":4},"read":false}"#], "and no ping")
    }

    @Test func `A page that does not ask for it sees the plain form`() throws {
        let house = try house(), client = house.webSocket()
        house.shard.deliver([.inbox(House.group, ReadStateChange(user: "u", state: house.backplane.inbox!))])
        house.deliver(House.publication(4))
        #expect(texts(client) == [#"{"n":4}"#])
    }

    @Test func `Since a position the missed messages follow, with what was read of them`() throws {
        let house = try house()
        house.backplane.inbox = InboxState(unread: 1, read: House.at(1), readSingly: [3])
        let (client, first) = open(house, "/ws/g?since=e.a:1")
        #expect(first == [#"{"unread":1,"read":"e.a:1"}"#])
        #expect(house.backplane.confirmed.map(\.position) == [House.at(1)], "what it goes on from, it has")
        house.answer(.resumed, now: House.at(3), proven: 1, 2...3)
        #expect(
            texts(client) == [
                #"{"id":"e.a:2","message":{"n":2},"read":false}"#, #"{"id":"e.a:3","message":{"n":3},"read":true}"#,
            ])
    }

    @Test func `What the log cannot fill is a gap, not the end`() throws {
        let house = try house()
        let (client, _) = open(house, "/ws/g?since=e.a:1")
        house.answer(.gap, now: House.at(3), proven: 2, 3...3)
        #expect(
            texts(client) == [
                #"{"gap":{"after":"e.a:2","reason":"gap"}}"#, #"{"id":"e.a:3","message":{"n":3},"read":false}"#,
            ])
        house.lose(.reset, at: .beginning)
        #expect(texts(client) == [#"{"gap":{"after":"0.0:0","reason":"reset"}}"#] && !client.isClosed)
        let (_, first) = open(house, "/ws/g?since=nonsense")
        #expect(first == [#"{"unread":2,"read":"e.a:1"}"#, #"{"gap":{"after":"e.a:3","reason":"reset"}}"#])
    }

    @Test func `A change reaches the devices of its user, with what it was about`() throws {
        let house = try house(), (client, _) = open(house)
        let state = InboxState(unread: 1, read: House.at(1))
        for mark in [ReadMark.one(House.at(3)), .unreadOne(House.at(3)), .upTo(House.at(1)), .all] {
            house.shard.deliver([.inbox(House.group, ReadStateChange(user: "u", state: state, mark: mark))])
        }
        let plain = #"{"unread":1,"read":"e.a:1"}"#
        #expect(
            texts(client) == [
                #"{"unread":1,"read":"e.a:1","read_one":"e.a:3"}"#,
                #"{"unread":1,"read":"e.a:1","unread_one":"e.a:3"}"#,
                plain, plain,
            ])
    }

    @Test func `A full socket is told the latest state when it has room`() throws {
        let house = try house(), (client, _) = open(house)
        client.isWritable = false
        for unread in [5, 4, 3] {
            let state = InboxState(unread: unread, read: House.at(1))
            house.shard.deliver([.inbox(House.group, ReadStateChange(user: "u", state: state))])
        }
        #expect(client.pendingBytes == 0)
        client.isWritable = true
        client.owner?.becameWritable()
        client.flush()
        #expect(texts(client) == [#"{"unread":3,"read":"e.a:1"}"#])
    }

    @Test func `Marks are made, and answered where they have a reference`() throws {
        let house = try house(), (client, _) = open(house)
        #expect(say(client, #"{"read":"e.a:3"}"#) == [])
        #expect(
            say(client, #"{"read_one":"e.a:2","ref":"x"}"#) == [
                #"{"unread":2,"read":"e.a:1","read_one":"e.a:2","ref":"x"}"#
            ])
        #expect(say(client, #"{"state":true}"#) == [#"{"unread":2,"read":"e.a:1"}"#])
        #expect(house.backplane.marks == [.upTo(House.at(3)), .one(House.at(2))])
    }

    @Test func `A page comes newest first, with the state`() throws {
        let house = try house(), (client, _) = open(house)
        house.backplane.entries = [3, 2].map {
            InboxPage.Entry(position: House.at($0), json: ByteBuffer(string: #"{"n":\#($0)}"#), isRead: $0 == 2)
        }
        #expect(
            say(client, #"{"page":{"before":"e.a:4","limit":2},"ref":7}"#) == [
                #"{"page":[{"id":"e.a:3","message":{"n":3},"read":false},{"id":"e.a:2","message":{"n":2},"read":true}],"#
                    + #""unread":2,"read":"e.a:1","ref":7}"#
            ])
        #expect(house.backplane.pages.last == "g e.a:4 2")
    }

    @Test func `What Redis refuses changes nothing and is told, and the connection stays`() throws {
        let house = try house(), (client, _) = open(house)
        house.backplane.inboxError = BackplaneError(.refused, "the group has no such position")
        #expect(
            say(client, #"{"read":"f.a:99","ref":1}"#) == [
                #"{"error":{"code":"refused","message":"the group has no such position"},"ref":1}"#
            ])
        house.backplane.inboxError = BackplaneError(.unavailable, "127.0.0.1 is away")
        #expect(
            say(client, #"{"read":"e.a:2"}"#) == [
                #"{"error":{"code":"unavailable","message":"the store cannot be reached now; try again"}}"#
            ])
        #expect(say(client, "nonsense")[0].hasPrefix(#"{"error":{"code":"bad_command","#) && !client.isClosed)
    }

    @Test func `Malformed commands cost as much as others`() throws {
        let house = try house(.inbox) { $0.maximumMessagesPerSecond = 3 }, (client, _) = open(house)
        for _ in 0..<20 { client.arrive(FrameMaker.text("nonsense").bytes) }
        #expect(client.takeRaw().last?.opcode == 8 && house.cut("rate") == 1)
    }

    @Test func `With several groups everything names its group, and so must commands`() throws {
        let house = try house(groups: ["{room}", "{room}.2"]), (client, first) = open(house)
        #expect(first == ["g", "g.2"].map { #"{"unread":2,"read":"e.a:1","group":"\#($0)"}"# })
        house.deliver(House.publication(4))
        #expect(texts(client) == [#"{"id":"e.a:4","message":{"n":4},"read":false,"group":"g"}"#])
        #expect(say(client, #"{"read_all":true}"#)[0].hasPrefix(#"{"error":{"code":"group_needed","#))
        #expect(say(client, #"{"read_all":true,"group":"h"}"#)[0].hasPrefix(#"{"error":{"code":"unknown_group","#))
        #expect(house.backplane.marks.isEmpty)
        #expect(say(client, #"{"state":true,"group":"g.2"}"#) == [#"{"unread":2,"read":"e.a:1","group":"g.2"}"#])
    }

    @Test func `Messages wait for the state, however long Redis takes`() throws {
        let house = try house()
        house.backplane.inboxError = BackplaneError(.unavailable, "away")
        let (client, first) = open(house)
        house.deliver(House.publication(4))
        #expect(first == [] && texts(client) == [])
        house.backplane.inboxError = nil
        house.loop.advanceTime(by: .milliseconds(500))
        house.answer(.resumed, now: House.at(4), proven: 3, 4...4)
        #expect(texts(client) == [#"{"unread":2,"read":"e.a:1"}"#, #"{"id":"e.a:4","message":{"n":4},"read":false}"#])
    }

    @Test func `A client that ends while it waits for its state leaves its groups`() throws {
        let house = try house()
        house.backplane.inboxError = BackplaneError(.unavailable, "away")
        let (client, _) = open(house)
        client.close()
        house.loop.run()
        house.loop.advanceTime(by: .seconds(2))
        #expect(house.backplane.discarded.count == 1 && house.shard.openCount == 0 && client.take().isEmpty)
        #expect(house.shard.members(of: House.group).isEmpty)
    }

    @Test func `What is sent goes the way of a plain client's text`() throws {
        let house = try house(receive: .echo), (client, _) = open(house)
        #expect(say(client, #"{"send":{"a":1},"ref":2}"#) == [#"{"answer":"\"{\\\"a\\\":1}\"","ref":2}"#])
        let (deaf, _) = open(try self.house())
        #expect(say(deaf, #"{"send":{"a":1}}"#)[0].hasPrefix(#"{"error":{"code":"not_allowed","#))
        let (refused, _) = open(try self.house(receive: .groupSend))
        #expect(
            say(refused, #"{"send":{"a":1}}"#)[0].hasPrefix(#"{"error":{"code":"unavailable","#),
            "its backplane takes none")
    }

    @Test func `The pong proves what was written, as for any WebSocket`() throws {
        let house = try house(), (client, _) = open(house)
        house.deliver(House.publication(4))
        let ping = client.takeRaw().last!
        #expect(ping.opcode == 9)
        client.arrive(FrameMaker(opcode: 0xA, payload: ping.payload).bytes)
        #expect(house.backplane.confirmed.map(\.position) == [House.at(4)])
    }
}
