import Broker
import NIOCore
import Testing

@testable import Gateway

/// What happens to connections as seconds pass, each second exactly.
struct ClientLifeTests {
    // MARK: Pings

    @Test func `A client that answers pings stays, however long it says nothing else`() throws {
        let house = try SessionHouse.open { ($0.pingSeconds, $0.pongSeconds) = (5, 2) }
        let client = house.webSocket()
        for _ in 0..<50 {
            house.pass(seconds: 4)
            #expect(client.takeFrames() == [])
            house.pass()
            #expect(client.takeFrames() == ["9"])
            client.arrive(FrameMaker.pong().bytes)
        }
        house.deliver(SessionHouse.publication(1))
        #expect(client.takeFrames() == [#"1 {"n":1}"#] && !client.isClosed)
    }

    @Test func `A client that does not answer a ping in time is dead, and counted`() throws {
        let house = try SessionHouse.open { ($0.pingSeconds, $0.pongSeconds) = (5, 2) }
        let client = house.webSocket()
        house.pass(seconds: 6)
        #expect(client.takeFrames() == ["9"] && !client.isClosed)
        house.pass()
        #expect(client.isClosed && client.takeFrames() == [] && house.cut("dead") == 1)
        #expect(house.shard.openCount == 0 && house.backplane.discarded.count == 1)
    }

    @Test func `Anything at all from the client shows that it lives`() throws {
        let house = try SessionHouse.open { ($0.pingSeconds, $0.pongSeconds) = (5, 2) }
        let client = house.webSocket()
        house.pass(seconds: 5)
        client.arrive(FrameMaker.text("{}").bytes.prefix(1))
        house.pass(seconds: 5)
        #expect(client.takeFrames() == ["9", "9"] && !client.isClosed)
    }

    @Test func `A stream is sent a comment every fifteen seconds, and is dead when nothing is acknowledged`() throws {
        let house = try SessionHouse.open { $0.pongSeconds = 10 }
        let client = house.eventStream()
        for _ in 0..<20 {
            house.pass(seconds: 14)
            #expect(client.takeText() == "")
            house.pass()
            #expect(client.takeText() == ":\n\n")
        }
        client.unansweredSeconds = 9
        house.pass(seconds: 10)
        #expect(!client.isClosed)
        house.pass(seconds: 5)
        client.unansweredSeconds = 10
        house.pass(seconds: 9)
        #expect(!client.isClosed)
        house.pass()
        #expect(client.isClosed && house.cut("dead") == 1)
    }

    // MARK: Slow clients

    @Test func `Who takes nothing for too long is cut, and the others are served`() throws {
        let house = try SessionHouse.open { ($0.slowSeconds, $0.pingSeconds, $0.pongSeconds) = (0, 5, 2) }
        let slow = [house.webSocket(), house.eventStream()]
        let other = house.webSocket()
        for socket in slow { socket.isWritable = false }
        house.deliver(SessionHouse.publication(1))
        house.deliver(SessionHouse.publication(2))
        #expect(other.takeFrames() == [#"1 {"n":1}"#, #"1 {"n":2}"#])
        #expect(slow.map(\.pendingBytes) == [0, 0], "nothing is kept for who lags")
        house.pass(seconds: 5)
        #expect(slow[0].isClosed && slow[0].takeFrames() == ["8 4508"])
        for _ in 0..<2 {
            other.arrive(FrameMaker.pong().bytes)
            house.pass(seconds: 5)
        }
        #expect(slow[1].isClosed && slow[1].takeText() == "")
        #expect(house.cut("slow") == 2 && house.shard.openCount == 1 && !other.isClosed)
    }

    // MARK: Endings

    @Test func `A drain tells clients one after the other, each once`() throws {
        let house = try SessionHouse.open()
        let clients = (0..<40).map { $0 % 2 == 0 ? house.webSocket() : house.eventStream() }
        var told = Set<Int>()
        for (progress, expected) in [(-1, 0), (0, 0), (0.25, 10), (0.25, 10), (0.5, 20), (0.99, 40), (1, 40), (2, 40)] {
            house.shard.drain(progress: progress)
            for (index, client) in clients.enumerated() {
                let bytes = client.take()
                guard !bytes.isEmpty else { continue }
                #expect(told.insert(index).inserted)
                if index % 2 == 0 {
                    #expect(bytes[0] == 0x88 && bytes[2...3].elementsEqual([0x03, 0xF4]), "1012")
                } else {
                    #expect(String(decoding: bytes, as: UTF8.self).wholeMatch(of: /retry: [0-9]+\n\n/) != nil)
                    #expect(client.isFinished)
                }
            }
            #expect(told.count == expected, "at \(progress)")
        }
    }

    @Test func `A stream that has been told to go is ended when it has had its time`() throws {
        let house = try SessionHouse.open()
        let client = house.eventStream()
        let id = house.shard.members(of: SessionHouse.group).live[0].session.id
        house.shard.deliver([.end(.connection(id))])
        #expect(client.takeText() == "id: end\nevent: end\ndata: {\"reason\":\"ended by the operator\"}\n\n")
        house.deliver(SessionHouse.publication(1))
        house.pass()
        #expect(client.take() == [] && client.isFinished && !client.isClosed)
        house.pass()
        #expect(client.isClosed && house.shard.openCount == 0 && house.cut("revoked") == 1)
    }

    @Test func `A client that does not end its side of a close is ended`() throws {
        let house = try SessionHouse.open { $0.pongSeconds = 3 }
        let client = house.webSocket()
        house.shard.drain(progress: 1)
        house.pass(seconds: 2)
        #expect(client.takeFrames() == ["8 1012"] && !client.isClosed)
        house.pass()
        #expect(client.isClosed && house.shard.openCount == 0 && house.cut("dead") == 0)
    }

    // MARK: Handshakes

    @Test func `A handshake has its seconds, however its bytes come`() throws {
        let house = try SessionHouse.open { $0.handshakeSeconds = 5 }
        let silent = house.connect(""), slow = house.connect("")
        for byte in "GET ".utf8 {
            house.pass()
            slow.arrive(CollectionOfOne(byte))
        }
        #expect(silent.take() == [] && slow.take() == [])
        #expect(house.connect(GatewayHouse.handshake("/ws/g")).takeText().hasPrefix("HTTP/1.1 101 "))
        house.pass()
        for socket in [silent, slow] {
            #expect(socket.takeText().hasPrefix("HTTP/1.1 408 ") && socket.isFinished && !socket.isClosed)
        }
        house.pass(seconds: 2)
        #expect(silent.isClosed && slow.isClosed)
    }
}
