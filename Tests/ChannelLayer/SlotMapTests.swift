import Broker
import NIOCore
import RedisClient
import TestSupport
import Testing

@testable import ChannelLayer

/// A Cluster's slots: which a key has, who serves it, and what redirects change.
struct SlotMapTests {
    private static let a = RedisEndpoint(host: "10.0.0.1", port: 6379)!
    private static let b = RedisEndpoint(host: "10.0.0.2", port: 6379)!
    private static let c = RedisEndpoint(host: "10.0.0.3", port: 6379)!

    /// 123456789: Redis Cluster specification, Appendix A (CRC 0x31C3). The others: `CLUSTER KEYSLOT` of Redis 7.0.
    @Test(arguments: [
        ("123456789", 12739), ("", 0), ("foo", 12182), ("somekey", 11058), ("{user1000}.following", 3443),
        ("{user1000}.followers", 3443), ("user1000", 3443), ("foo{}{bar}", 8363), ("foo{{bar}}zap", 4015),
        ("{bar", 4015), ("foo{bar}{zap}", 5061), ("bar", 5061), ("foo{bar", 15278), ("42isInsufficient", 2809),
        ("asgi:group:{42isInsufficient}", 2809),
    ])
    func `A key's slot is Redis'`(key: String, slot: Int) { #expect(HashSlot.of(key) == slot) }

    private static let states: [(name: String, isListing: Bool)] = [("resting", false), ("listing", true)]

    /// Slots 0 to 8191 are at a, the others at b.
    private func map(isListing: Bool = false) -> SlotMap {
        var map = SlotMap(seeds: [Self.a])
        _ = map.handle(.listed([.init(0...8191, at: Self.a), .init(8192...16383, at: Self.b)]))
        if isListing { #expect(map.handle(.lost(Self.a)) == [.list]) }
        return map
    }

    private func expect(
        _ event: SlotMap.Event, resting: [SlotMap.Action], listing: [SlotMap.Action], endsIn isListing: [Bool],
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        for (state, (actions, end)) in zip(Self.states, zip([resting, listing], isListing)) {
            var map = map(isListing: state.isListing)
            #expect(map.handle(event) == actions, "\(state.name)", sourceLocation: sourceLocation)
            #expect(map.isListing == end, "\(state.name)", sourceLocation: sourceLocation)
        }
    }

    @Test func `A slot that has moved is learned, and the map is requested once`() {
        let moved = SlotMap.Event.redirected(.init(.moved, HashSlot.of("bar"), to: Self.c), after: 0)
        let again = SlotMap.Action.resend(Self.c, asking: false)
        expect(moved, resting: [again, .list], listing: [again], endsIn: [true, true])
        var map = map()
        #expect(map.servers[map.index(of: "bar")] == Self.a)
        _ = map.handle(moved)
        #expect(map.servers[map.index(of: "bar")] == Self.c)
        #expect(map.servers[map.index(of: "foo")] == Self.b)
    }

    @Test func `A slot that is being moved stays where it is: only this command goes elsewhere`() {
        let ask = SlotMap.Event.redirected(.init(.ask, HashSlot.of("bar"), to: Self.c), after: 0)
        let again = SlotMap.Action.resend(Self.c, asking: true)
        expect(ask, resting: [again], listing: [again], endsIn: [false, true])
        var map = map()
        _ = map.handle(ask)
        #expect(map == self.map())
    }

    @Test(arguments: [SlotMap.Redirect.Kind.moved, .ask])
    func `A command that is redirected without end fails`(kind: SlotMap.Redirect.Kind) {
        expect(
            .redirected(.init(kind, 1, to: Self.c), after: SlotMap.maximumRedirects), resting: [.giveUp, .list],
            listing: [.giveUp], endsIn: [true, true])
    }

    @Test func `The loss of a server that is known has the map requested`() {
        expect(.lost(Self.b), resting: [.list], listing: [], endsIn: [true, true])
        expect(.lost(Self.c), resting: [], listing: [], endsIn: [false, true])
    }

    @Test func `A new map replaces the old one, a failed request and an empty map do not`() {
        expect(.listingFailed, resting: [], listing: [], endsIn: [false, false])
        expect(.listed([]), resting: [], listing: [], endsIn: [false, false])
        expect(.listed([.init(0...16383, at: Self.c)]), resting: [], listing: [], endsIn: [false, false])
        var map = map()
        _ = map.handle(.listed([]))
        #expect(map == self.map() && map.isComplete)
        _ = map.handle(.listed([.init(0...16000, at: Self.c)]))
        #expect(map.servers == [Self.c] && !map.isComplete)
    }

    @Test func `A slot that nobody is known to serve is asked for at any server, which redirects`() {
        let map = SlotMap(seeds: [Self.b, Self.a])
        #expect(map.servers[map.index(of: "bar")] == Self.b && !map.isComplete)
    }

    @Test func `Redirects are read from errors`() {
        typealias Redirect = SlotMap.Redirect
        #expect(
            Redirect("MOVED 3999 127.0.0.1:6381", from: Self.a)
                == .init(.moved, 3999, to: .init("127.0.0.1:6381", defaultPort: 1)!))
        #expect(Redirect("ASK 0 10.0.0.2:6379", from: Self.a) == .init(.ask, 0, to: Self.b))
        #expect(Redirect("MOVED 1 :6379", from: Self.b)?.server == Self.b)
        #expect(Redirect("MOVED 1 ::1:6379", from: Self.b)?.server.host == "::1")
        for text in ["", "ERR no", "MOVED", "MOVED 16384 h:1", "MOVED -1 h:1", "MOVED 1 h", "MOVED 1 h:0", "ASK 1 h:x"]
        {
            #expect(Redirect(text, from: Self.a) == nil, "\(text)")
        }
    }

    private func row(_ first: Int64, _ last: Int64, _ host: RedisValue, _ port: Int64) -> RedisValue {
        let replica = RedisValue.array([.string(ByteBuffer(string: "10.0.0.9")), .integer(6379)])
        return .array([.integer(first), .integer(last), .array([host, .integer(port)]), replica])
    }

    @Test func `Assignments are read from CLUSTER SLOTS, of primaries only`() {
        let host = RedisValue.string(ByteBuffer(string: "10.0.0.2"))
        let reply = RedisValue.array([row(0, 5, .null, 6379), row(6, 6, host, 6379)])
        #expect(SlotMap.assignments(reply, from: Self.a) == [.init(0...5, at: Self.a), .init(6...6, at: Self.b)])
        #expect(SlotMap.assignments(.array([]), from: Self.a) == [])
        let bad = [
            row(5, 0, host, 1), row(-1, 5, host, 1), row(0, 16384, host, 1), row(0, 1, host, 0), row(0, 1, host, 65536),
            .array([.integer(0), .integer(1)]), .null, .array([.integer(0), .integer(1), .array([])]),
        ]
        for each in bad { #expect(SlotMap.assignments(.array([each]), from: Self.a) == nil, "\(each)") }
        #expect(SlotMap.assignments(.status("OK"), from: Self.a) == nil)
    }

    @Test func `A router of a map chooses by the name's slot, also for what is made of it`() throws {
        let router = ShardRouter(map()) { $0.host }
        let bar = try GroupName("bar"), foo = try GroupName("foo")
        #expect(router[bar] == "10.0.0.1" && router[foo] == "10.0.0.2")
        #expect(router.map { $0.count }.shards == [8, 8])
        #expect(router.map { "\($0)!" }[foo] == "10.0.0.2!")
        #expect(ShardRouter(SlotMap(seeds: [Self.c])) { $0 }[foo] == Self.c)
    }

    /// Servers that move slots and fail, and a map that hears of it late.
    @Test(arguments: UInt64(1)...20)
    func `Redirects lead to the server that has the slot, whatever was missed`(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let all = [Self.a, Self.b, Self.c]
        var owners = (0..<4).map { _ in all.randomElement(using: &generator)! }
        var map = SlotMap(seeds: [Self.a])
        for _ in 0..<300 {
            switch Int.random(in: 0..<10, using: &generator) {
            case 0..<3: owners[Int.random(in: 0..<4, using: &generator)] = all.randomElement(using: &generator)!
            case 3: _ = map.handle(.lost(all.randomElement(using: &generator)!))
            case 4 where map.isListing: _ = map.handle(.listingFailed)
            case 5 where map.isListing:
                let rows = owners.enumerated().map { SlotMap.Assignment($0 * 4096...$0 * 4096 + 4095, at: $1) }
                #expect(map.handle(.listed(rows)) == [] && map.isComplete)
            default:
                let name = "\(Int.random(in: 0..<1000, using: &generator))"
                let slot = HashSlot.of(name), owner = owners[slot / 4096], wasListing = map.isListing
                guard map.servers[map.index(of: name)] != owner else { break }
                let actions = map.handle(.redirected(.init(.moved, slot, to: owner), after: 0))
                #expect(actions == [.resend(owner, asking: false)] + (wasListing ? [] : [.list]))
                #expect(map.servers[map.index(of: name)] == owner && map.isListing)
            }
            #expect(!map.servers.isEmpty && Set(map.servers).count == map.servers.count)
        }
    }
}
