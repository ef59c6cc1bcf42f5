import Testing

@testable import RedisClient

/// The states of a search for the primary, each with every event.
struct SentinelDiscoveryTests {
    private typealias Discovery = SentinelDiscovery

    private static let a = RedisEndpoint(host: "10.0.0.1", port: 6379)!
    private static let b = RedisEndpoint(host: "10.0.0.2", port: 6379)!
    private static let c = RedisEndpoint(host: "10.0.0.3", port: 6379)!

    private func problem(_ sentinel: Int, _ words: String = "is gone") -> Discovery.Problem {
        Discovery.Problem(sentinel: sentinel, words: words)
    }

    /// How each state is reached. There are two Sentinels; in all but the first the primary is a, and was b before.
    private static let histories: [(name: String, events: [Discovery.Event])] = [
        ("new", []),
        ("resting", [.wanted, .named(a), .verified(a), .switched(from: b, to: a, by: 0)]),
        ("asking the first", [.wanted, .named(a), .verified(a), .switched(from: b, to: a, by: 0), .wanted]),
        (
            "asking the last",
            [.wanted, .named(a), .verified(a), .switched(from: b, to: a, by: 0), .wanted, .failed("is gone")]
        ),
        (
            "asking the last, after a stale answer",
            [.wanted, .named(a), .verified(a), .switched(from: b, to: a, by: 0), .wanted, .named(b)]
        ),
    ]

    private func discovery(_ name: String) -> Discovery {
        var discovery = Discovery(count: 2)
        for event in Self.histories.first(where: { $0.name == name })!.events { _ = discovery.handle(event) }
        return discovery
    }

    /// - Parameter table: each state's name, the actions, the state after, the order after.
    private func expect(
        _ event: Discovery.Event, _ table: [(String, [Discovery.Action], Discovery.State, [Int])],
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        #expect(table.map(\.0) == Self.histories.map(\.name), "every state", sourceLocation: sourceLocation)
        for (name, actions, state, order) in table {
            var discovery = discovery(name)
            #expect(discovery.handle(event) == actions, "\(name)", sourceLocation: sourceLocation)
            #expect(discovery.state == state, "\(name)", sourceLocation: sourceLocation)
            #expect(discovery.order == order, "\(name)", sourceLocation: sourceLocation)
        }
    }

    private var first: Discovery.State { .asking(0, rest: [1], problems: [], stale: nil) }
    private var last: Discovery.State { .asking(1, rest: [], problems: [problem(0)], stale: nil) }
    private var stale: Discovery.State { .asking(1, rest: [], problems: [], stale: 0) }

    @Test func `A dial begins a round, or shares the one that is under way`() {
        expect(
            .wanted,
            [
                ("new", [.ask(0)], first, [0, 1]), ("resting", [.ask(0)], first, [0, 1]),
                ("asking the first", [], first, [0, 1]), ("asking the last", [], last, [0, 1]),
                ("asking the last, after a stale answer", [], stale, [0, 1]),
            ])
    }

    @Test func `Who names a server is asked first from then on`() {
        expect(
            .named(Self.c),
            [
                ("new", [], .resting, [0, 1]), ("resting", [], .resting, [0, 1]),
                ("asking the first", [.found(Self.c)], .resting, [0, 1]),
                ("asking the last", [.found(Self.c)], .resting, [1, 0]),
                ("asking the last, after a stale answer", [.found(Self.c)], .resting, [1, 0]),
            ])
    }

    @Test func `The former primary is believed only when every Sentinel that answers names it`() {
        expect(
            .named(Self.b),
            [
                ("new", [], .resting, [0, 1]), ("resting", [], .resting, [0, 1]),
                ("asking the first", [.ask(1)], stale, [0, 1]),
                ("asking the last", [.found(Self.b)], .resting, [1, 0]),
                ("asking the last, after a stale answer", [.found(Self.b)], .resting, [0, 1]),
            ])
    }

    @Test func `After a failure the next Sentinel is asked, and at the end all failures are told`() {
        let gone = problem(1)
        expect(
            .failed("is gone"),
            [
                ("new", [], .resting, [0, 1]), ("resting", [], .resting, [0, 1]),
                ("asking the first", [.complain(problem(0)), .ask(1)], last, [0, 1]),
                ("asking the last", [.complain(gone), .nobodyKnows([problem(0), gone])], .resting, [0, 1]),
                ("asking the last, after a stale answer", [.complain(gone), .found(Self.b)], .resting, [0, 1]),
            ])
    }

    @Test func `The first primary is where it always was; another one has moved`() {
        expect(
            .verified(Self.c),
            [
                ("new", [], .resting, [0, 1]), ("resting", [.moved(Self.c)], .resting, [0, 1]),
                ("asking the first", [.moved(Self.c)], first, [0, 1]),
                ("asking the last", [.moved(Self.c)], last, [0, 1]),
                ("asking the last, after a stale answer", [.moved(Self.c)], stale, [0, 1]),
            ])
        expect(
            .verified(Self.a),
            [
                ("new", [], .resting, [0, 1]), ("resting", [], .resting, [0, 1]),
                ("asking the first", [], first, [0, 1]),
                ("asking the last", [], last, [0, 1]), ("asking the last, after a stale answer", [], stale, [0, 1]),
            ])
    }

    @Test func `Who named a server that is no primary is asked last, once for each answer`() {
        let wrong = problem(0, "is a replica")
        expect(
            .disproved(Self.a, "is a replica"),
            [
                ("new", [], .resting, [0, 1]), ("resting", [.complain(wrong)], .resting, [1, 0]),
                ("asking the first", [.complain(wrong)], first, [1, 0]),
                ("asking the last", [.complain(wrong)], last, [1, 0]),
                ("asking the last, after a stale answer", [.complain(wrong)], stale, [1, 0]),
            ])
        expect(
            .disproved(Self.c, "is a replica"),
            [
                ("new", [], .resting, [0, 1]), ("resting", [], .resting, [0, 1]),
                ("asking the first", [], first, [0, 1]),
                ("asking the last", [], last, [0, 1]), ("asking the last, after a stale answer", [], stale, [0, 1]),
            ])
        var discovery = discovery("resting")
        #expect(discovery.handle(.disproved(Self.a, "is a replica")) != [])
        #expect(discovery.handle(.disproved(Self.a, "is a replica")) == [])
    }

    @Test func `A failover is followed at once, and who announced it is asked first`() {
        expect(
            .switched(from: Self.a, to: Self.c, by: 1),
            [
                ("new", [.moved(Self.c)], .resting, [1, 0]), ("resting", [.moved(Self.c)], .resting, [1, 0]),
                ("asking the first", [.moved(Self.c)], first, [1, 0]),
                ("asking the last", [.moved(Self.c)], last, [1, 0]),
                ("asking the last, after a stale answer", [.moved(Self.c)], stale, [1, 0]),
            ])
    }

    @Test func `An announcement of what is known changes nothing`() {
        var discovery = discovery("resting")
        #expect(discovery.handle(.switched(from: Self.b, to: Self.a, by: 0)) == [])
        #expect(discovery.primary == Self.a && discovery.former == Self.b)
    }

    @Test func `A former primary that is one again is believed like any other`() {
        var discovery = discovery("resting")
        #expect(discovery.handle(.verified(Self.b)) == [.moved(Self.b)])
        #expect(discovery.former == nil)
        #expect(discovery.handle(.wanted) == [.ask(0)])
        #expect(discovery.handle(.named(Self.b)) == [.found(Self.b)])
    }

    @Test func `A Sentinel that lies does not keep anybody from the primary`() {
        var discovery = Discovery(count: 3)
        #expect(discovery.handle(.wanted) == [.ask(0)])
        #expect(discovery.handle(.named(Self.c)) == [.found(Self.c)])
        #expect(discovery.handle(.disproved(Self.c, "is a replica")) == [.complain(problem(0, "is a replica"))])
        #expect(discovery.handle(.wanted) == [.ask(1)])
        #expect(discovery.handle(.named(Self.a)) == [.found(Self.a)])
        #expect(discovery.handle(.verified(Self.a)) == [])
        #expect(discovery.order == [1, 2, 0])
    }
}
