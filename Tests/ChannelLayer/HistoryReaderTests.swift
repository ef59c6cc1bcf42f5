import Broker
import NIOCore
import RedisClient
import Synchronization
import TestSupport
import Testing

@testable import ChannelLayer

/// Reading logs on a real Redis: the number of calls, and their order.
struct HistoryReaderTests {
    private func run(_ body: (LayerHouse, Cli) async throws -> Void) async throws {
        try await RedisServer.run { server in
            try await Cli.run(server) { cli in
                try await LayerHouse.run(server) { house in try await body(house, cli) }
            }
        }
    }

    /// Fills a log with messages of this length; returns the position before the first.
    private func fill(_ group: String, _ count: Int, bytes: Int, _ house: LayerHouse) async throws -> Position {
        var position = Position.beginning
        for number in 1...count {
            let padding = String(repeating: "x", count: bytes)
            position = try await house.send(#"{"n":\#(number),"pad":"\#(padding)"}"#, to: group).position
        }
        position.offset = 0
        return position
    }

    private func reads(_ cli: Cli) async throws -> Int {
        let stats = try await cli("INFO", "commandstats").text ?? ""
        let line = stats.split(whereSeparator: \.isNewline).first { $0.hasPrefix("cmdstat_fcall_ro:calls=") }
        return Int(line?.split(separator: "=")[1].prefix { $0.isNumber } ?? "0") ?? 0
    }

    private func read(
        _ house: LayerHouse, _ group: String, _ since: Position?, bytes: Int = 64 << 10, _ ticket: ReadTicket = .init()
    ) throws -> EventLoopFuture<HistoryPage> {
        house.backplane.read(try GroupName(group), since: since, bytes: bytes, ticket)
    }

    @Test func `Fifty clients at one cursor share a page`() async throws {
        try await run { house, cli in
            let start = try await fill("big", 6, bytes: 200 << 10, house)
            try await cli("CONFIG", "RESETSTAT")
            let pages = try await house.onLoop { _ in try (0..<50).map { _ in try read(house, "big", start) } }
            for page in pages { #expect(try await page.get().entries.map(\.offset) == [1]) }
            #expect(try await reads(cli) == 1)
        }
    }

    @Test func `A page that fifty clients share leaves the loop to others in between`() async throws {
        try await run { house, _ in
            let start = try await fill("big", 2, bytes: 200 << 10, house)
            let given = Mutex(0), givenWhenAskedAgain = Mutex(0)
            let pages = try (0..<50).map { index in
                let page = try read(house, "big", start)
                return page.map { _ in
                    given.withLock { $0 += 1 }
                    guard index == 0 else { return }
                    page.eventLoop.execute {
                        givenWhenAskedAgain.withLock { other in other = given.withLock { $0 } }
                    }
                }
            }
            for page in pages { try await page.get() }
            #expect((1..<10).contains(givenWhenAskedAgain.withLock { $0 }))
        }
    }

    @Test func `What somebody had asked for who has gone is not read`() async throws {
        try await run { house, cli in
            let start = try await fill("big", 40, bytes: 50 << 10, house)
            try await cli("CONFIG", "RESETSTAT")
            let tickets = (0..<40).map { _ in ReadTicket() }
            // In one turn of the loop: the first call is sent at its end, and then the tickets are given up.
            let pages = try await house.onLoop { loop in
                let pages = try tickets.enumerated().map { index, ticket in
                    var since = start
                    since.offset = UInt64(index)
                    return try read(house, "big", since, ticket)
                }
                loop.execute { for ticket in tickets { house.backplane.giveUp(ticket) } }
                return pages
            }
            var answered = 0
            for page in pages where (try? await page.get()) != nil { answered += 1 }
            #expect(try await reads(cli) <= 2, "no more than was under way")
            #expect(answered < 20)
            // And nothing more is read for them.
            await #expect(throws: BackplaneError.self) { try await read(house, "big", start, tickets[0]).get() }
            #expect(try await read(house, "big", start).get().entries.map(\.offset) == [1, 2])
        }
    }

    @Test func `A message of another group is read before forty catch-ups over large messages`() async throws {
        try await run { house, _ in
            let heavy = try await fill("heavy", 41, bytes: 250 << 10, house)
            let light = try await fill("light", 1, bytes: 10, house)
            let caughtUp = Mutex(0)
            let (pages, before) = try await house.onLoop { _ in
                let pages = try (0..<40).map { index in
                    var since = heavy
                    since.offset = UInt64(index)
                    return try read(house, "heavy", since).map { page in caughtUp.withLock { $0 += 1 } }
                }
                let before = try read(house, "light", light).map { page in
                    (page.entries.count, caughtUp.withLock { $0 })
                }
                return (pages, before)
            }
            let (count, were) = try await before.get()
            #expect(count == 1)
            #expect(were <= 8, "a turn or two of the other group, not all of its readers'")
            for page in pages { try await page.get() }
        }
    }

    @Test func `A log of mixed lengths is read to its end in pages that have a bound, without a hole`() async throws {
        try await run { house, _ in
            let lengths = [10, 100_000, 10, 300_000, 70_000, 10, 10, 900_000, 10, 65_000, 65_000, 10]
            for length in lengths {
                try await house.send(#"{"pad":"\#(String(repeating: "x", count: length))"}"#, to: "mixed")
            }
            var since = try #require(try await read(house, "mixed", nil).get().position)
            since.offset = 0
            var offsets: [UInt64] = []
            while offsets.count < lengths.count {
                let page = try await read(house, "mixed", since).get()
                let bytes = page.entries.dropLast().map { $0.publication?.json.readableBytes ?? 0 }.reduce(0, +)
                #expect(page.continuity == .resumed && bytes < 64 << 10, "only the last message goes over")
                try #require(!page.entries.isEmpty)
                offsets += page.entries.map(\.offset)
                since = try #require(page.end)
            }
            #expect(offsets == (1...UInt64(lengths.count)).map { $0 })
        }
    }
}
