import Broker
import NIOCore
import NIOEmbedded
import Sockets
import Testing

@testable import Gateway

/// Pings behind messages, over whole connections: what is written, what a pong confirms.
struct DeliveryProverTests {
    private typealias House = SessionHouse
    private typealias Confirmation = Broker.Confirmation

    private func house(_ tracking: Tracking = .receipts) throws -> SessionHouse {
        let house = try SessionHouse.open()
        house.backplane.tracking = tracking
        house.backplane.now = House.at(0)
        return house
    }

    private func confirmed(_ house: SessionHouse) -> [UInt64] { house.backplane.confirmed.map(\.position.offset) }

    private func pong(_ client: KeptSocket, _ payload: [UInt8]) {
        client.arrive(FrameMaker(opcode: 0xA, payload: payload).bytes)
    }

    @Test func `The first message has its ping right behind it, and the pong confirms it`() throws {
        let house = try house(), client = house.webSocket()
        house.deliver(House.publication(1), House.publication(2))
        let frames = client.takeRaw()
        #expect(frames.map(\.opcode) == [1, 1, 9] && house.backplane.confirmed.isEmpty)
        pong(client, frames[2].payload)
        #expect(
            house.backplane.confirmed == [Confirmation(group: House.group, user: nil, position: House.at(2), after: 0)])
        pong(client, frames[2].payload)
        #expect(confirmed(house) == [2], "a pong counts once")
    }

    @Test func `A client that comes later proves nothing of what was sent before it came`() throws {
        let house = try house(), client = house.webSocket()
        house.deliver(House.publication(7))
        pong(client, client.takeRaw()[1].payload)
        #expect(house.backplane.confirmed.map(\.after) == [6])
    }

    @Test func `A pong that nobody asked for proves nothing`() throws {
        let house = try house(), client = house.webSocket()
        house.deliver(House.publication(1))
        let ping = client.takeRaw()[1].payload
        for payload in [[], [1, 2, 3], Array(ping.reversed()), ping + [0]] as [[UInt8]] { pong(client, payload) }
        #expect(house.backplane.confirmed.isEmpty && !client.isClosed)
        pong(client, ping)
        #expect(confirmed(house) == [1])
    }

    @Test func `Fifty messages a second cost four pings a second`() throws {
        let house = try house(), client = house.webSocket()
        var pings = 0
        for number in 1...100 as ClosedRange<UInt64> {
            house.deliver(House.publication(number))
            house.loop.advanceTime(by: .milliseconds(20))
            for frame in client.takeRaw() where frame.opcode == 9 {
                pings += 1
                pong(client, frame.payload)
            }
        }
        house.loop.advanceTime(by: .milliseconds(250))
        for frame in client.takeRaw() where frame.opcode == 9 { pong(client, frame.payload) }
        #expect((7...9).contains(pings), "\(pings)")
        #expect(confirmed(house).last == 100)
    }

    @Test func `A group without receipts has no pings`() throws {
        let house = try house(.none), client = house.webSocket()
        house.deliver(House.publication(1))
        house.loop.advanceTime(by: .seconds(2))
        #expect(client.takeFrames() == [#"1 {"n":1}"#])
    }

    @Test func `What a slow client is fed from the log is proven when it has it`() throws {
        let house = try house(), client = house.webSocket()
        client.isWritable = false
        house.deliver(House.publication(1))
        #expect(client.takeRaw().isEmpty)
        client.isWritable = true
        client.owner?.becameWritable()
        house.answer(.resumed, now: House.at(2), proven: 0, 1...2)
        let frames = client.takeRaw()
        #expect(frames.map(\.opcode) == [1, 1, 9])
        pong(client, frames[2].payload)
        #expect(confirmed(house) == [2])
    }

    @Test func `The keep-alive's ping serves as proof, and is answered like any other`() throws {
        let house = try SessionHouse.open { ($0.pingSeconds, $0.pongSeconds) = (5, 2) }
        house.backplane.tracking = .receipts
        house.backplane.now = House.at(0)
        let client = house.webSocket()
        house.deliver(House.publication(1))
        #expect(client.takeRaw().map(\.opcode) == [1, 9])
        house.pass(seconds: 5)
        let ping = client.takeRaw()
        #expect(ping.map(\.opcode) == [9] && ping[0].payload.count == 16, "the first one was never answered")
        pong(client, ping[0].payload)
        #expect(confirmed(house) == [1])
        house.pass(seconds: 5)
        #expect(client.takeRaw().map(\.payload) == [[]], "there is nothing left to prove")
    }

    @Test func `After its end a connection is pinged no more`() throws {
        let house = try house(), client = house.webSocket()
        house.deliver(House.publication(1), House.publication(2))
        house.deliver(House.publication(3))
        _ = client.take()
        client.close()
        house.loop.run()
        house.loop.advanceTime(by: .seconds(1))
        #expect(client.take().isEmpty && house.shard.openCount == 0 && house.backplane.confirmed.isEmpty)
    }

    @Test func `A stream's cursor proves what came before it, at its next join`() throws {
        let house = try house()
        let first = house.eventStream()
        house.deliver(House.publication(1))
        #expect(first.takeText().contains("id: e.a:1\n") && house.backplane.confirmed.isEmpty)
        _ = house.eventStream("/ws/g?since=e.a:1")
        #expect(confirmed(house) == [1])
        _ = house.eventStream("/ws/g?since=nonsense")
        #expect(confirmed(house) == [1], "what cannot be read proves nothing")
    }
}
