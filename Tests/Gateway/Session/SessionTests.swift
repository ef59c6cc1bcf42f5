import Broker
import NIOCore
import NIOEmbedded
import Testing

@testable import Gateway

/// Sessions and their shard, without sockets, Redis or waiting.
struct SessionTests {
    private typealias House = SessionHouse

    @Test func `A client that keeps up gets what comes, once and in order`() {
        let house = House()
        let client = house.client(at: House.at(3))
        house.deliver(House.publication(4), House.publication(5))
        house.deliver(House.publication(5))
        house.deliver(House.publication(6))
        #expect(client.seen == ["4", "5", "6"])
        #expect(house.backplane.reads.isEmpty)
    }

    @Test func `A client that comes back is given the log before what comes meanwhile`() {
        let house = House()
        let client = house.client(at: House.at(3), isResumption: true)
        house.deliver(House.publication(6))
        #expect(client.seen.isEmpty && house.backplane.reads.map(\.since) == [House.at(3)])
        house.answer(.resumed, now: House.at(5), proven: 3, 4...5)
        // The page is from before message 6, so the log is read again.
        #expect(client.seen == ["4", "5"] && house.backplane.reads.map(\.since) == [House.at(5)])
        house.answer(.resumed, now: House.at(6), proven: 5, 6...6)
        house.deliver(House.publication(7))
        #expect(client.seen == ["4", "5", "6", "7"])
    }

    @Test func `A client whose socket is full is fed from the log when it has room`() {
        let house = House()
        let client = house.client(at: House.at(0)), other = house.client(at: House.at(0))
        client.room = 2
        house.deliver(House.publication(1), House.publication(2))
        house.deliver(House.publication(3))
        house.deliver(House.publication(4))
        #expect(client.seen == ["1", "2"] && other.seen == ["1", "2", "3", "4"])
        #expect(client.session.slowSince != nil && house.backplane.reads.isEmpty, "nothing is read for a full socket")
        client.drain(1)
        #expect(house.backplane.reads.map(\.since) == [House.at(2)])
        house.answer(.resumed, now: House.at(4), proven: 2, 3...4)
        #expect(client.seen == ["1", "2", "3"])
        client.drain()
        #expect(house.backplane.reads.map(\.since) == [House.at(3)])
        house.answer(.resumed, now: House.at(4), proven: 3, 4...4)
        #expect(client.seen == ["1", "2", "3", "4"] && client.session.slowSince == nil)
    }

    @Test(arguments: [Continuity.gap, .rolledBack, .reset])
    func `A loss that the log knows of is told before what follows`(continuity: Continuity) {
        let house = House()
        let client = house.client(at: House.at(3), isResumption: true)
        house.answer(continuity, now: House.at(8, history: "b"), proven: 6, 7...8)
        #expect(client.seen == [continuity.name, "7", "8"])
        house.deliver(House.publication(9, history: "b"))
        #expect(client.seen.last == "9")
    }

    @Test func `A group whose key is gone begins anew`() {
        let house = House()
        let client = house.client(at: House.at(3), isResumption: true)
        house.answer(.reset, now: nil, proven: 0)
        house.deliver(House.publication(1, history: "b"))
        #expect(client.seen == ["reset", "1"])
    }

    @Test func `A new history goes on, and is told to nobody but those who subscribe again`() {
        let house = House()
        let client = house.client(at: House.at(3), isResumption: true)
        house.answer(.historyChanged, now: House.at(4, history: "b"), proven: 3, 4...4)
        let again = house.client(.centrifuge, at: House.at(4))
        house.deliver(House.publication(5, history: "b"))
        #expect(client.seen == ["4", "5"] && again.seen == ["history_changed"])
        #expect(house.backplane.discarded == [again.session.id])
    }

    @Test func `Without a log a client learns how many it has missed`() {
        let house = House()
        let client = house.client(at: House.at(3), isResumption: true)
        house.deliver(House.publication(5, isLogged: false))
        house.answer(.liveOnly, now: House.at(7), proven: 3)
        house.deliver(House.publication(8, isLogged: false))
        #expect(client.seen == ["dropped 1", "5", "dropped 2", "8"])
    }

    @Test func `What no log keeps is dropped when there is no room at all, and told when there is`() {
        let house = House { $0.maximumUnloggedBytes = 100 }
        let client = house.client(at: House.at(0))
        client.room = 0
        client.pendingBytes = 99
        house.deliver(House.publication(1, isLogged: false))
        client.pendingBytes = 100
        house.deliver(House.publication(2, isLogged: false))
        house.deliver(House.publication(3, isLogged: false))
        #expect(client.seen == ["1"])
        client.drain()
        #expect(client.seen == ["1", "dropped 2"])
        house.deliver(House.publication(4, isLogged: false))
        #expect(client.seen == ["1", "dropped 2", "4"])
    }

    /// The page may predate the loss.
    @Test func `What is lost while a page is on its way is told`() {
        let house = House()
        let client = house.client(at: House.at(3), isResumption: true)
        house.deliver(House.publication(4), House.publication(5), House.publication(6))
        house.lose(.reset, at: .beginning)
        house.answer(.resumed, now: House.at(4), proven: 3, 4...4)
        #expect(client.seen == ["4"] && house.backplane.reads.map(\.since) == [House.at(4)])
        house.answer(.reset, now: nil, proven: 0)
        #expect(client.seen == ["4", "reset"])
    }

    @Test func `Whoever is live is told of a loss, once`() {
        let house = House()
        let clients = (0..<3).map { _ in house.client(at: House.at(3)) }
        house.lose(.gap, at: House.at(5))
        house.lose(.gap, at: House.at(5))
        house.deliver(House.publication(6))
        for client in clients { #expect(client.seen == ["gap", "6"]) }
    }

    /// They leave after the walk, during which others get their messages.
    @Test func `Clients that have to subscribe again leave, and cost the others nothing`() {
        let house = House()
        let clients = (0..<9).map { house.client($0 % 2 == 0 ? .centrifuge : .eventStream, at: House.at(3)) }
        house.lose(.rolledBack, at: House.at(2, history: "b"))
        house.deliver(House.publication(3, history: "b"))
        for (number, client) in clients.enumerated() {
            #expect(client.seen == (number % 2 == 0 ? ["rolled_back"] : ["rolled_back", "3"]))
        }
        #expect(house.backplane.discarded.count == 5)
    }

    @Test func `A read that failed is tried again after half a second`() {
        let house = House()
        let client = house.client(at: House.at(3), isResumption: true)
        house.backplane.fail()
        #expect(house.backplane.reads.isEmpty)
        house.loop.advanceTime(by: .milliseconds(500))
        house.answer(.resumed, now: House.at(4), proven: 3, 4...4)
        #expect(client.seen == ["4"])
    }

    @Test func `A client that goes gives up its read, and a late page is nobody's`() {
        let house = House()
        let client = house.client(at: House.at(3), isResumption: true)
        client.session.end()
        client.session.end()
        #expect(house.backplane.givenUp == 1 && house.backplane.discarded.count == 1)
        house.loop.advanceTime(by: .seconds(1))
        #expect(client.seen.isEmpty && house.backplane.reads.isEmpty)
    }

    @Test func `After its close frame a client is sent nothing`() {
        let house = House()
        let client = house.client(at: House.at(3))
        client.isOpen = false
        house.deliver(House.publication(4), House.publication(5, isLogged: false))
        house.deliver(Publication(group: House.group, position: nil, json: ByteBuffer(string: #"{"n":0}"#)))
        #expect(client.seen.isEmpty)
    }

    @Test func `A group is kept while somebody joins it, and no longer`() {
        let house = House()
        let before = house.shard.members(of: House.group)
        do {
            let hold = JoinHold([House.group], on: house.shard)
            #expect(hold.members[0] === before && house.shard.members(of: House.group) === before)
            // Messages that come meanwhile are noticed: the client's first step reads the log.
            house.deliver(House.publication(4))
            #expect(before.last == House.at(4))
        }
        #expect(house.shard.members(of: House.group) !== before)
        let client = house.client(at: House.at(4))
        #expect(house.shard.members(of: House.group).live.count == 1)
        client.session.end()
        #expect(house.shard.members(of: House.group).last == nil)
    }
}
