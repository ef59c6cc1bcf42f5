/// Which Sentinel to ask next for the primary, what to believe of the answers, and when the primary has moved.
///
/// A value without I/O. Dials ask for the primary's address: each round asks one Sentinel after the other until one names a
/// server. The one that was right last is asked first. A Sentinel that named a server which could not be used, or is no
/// primary, is asked last: so one that is wrong cannot keep a gateway from the right server.
///
/// ```
///   resting ──wanted──▶ asking ──named──▶ resting: found
///                        │  ▲
///                failed, │  │ the next Sentinel
///     named the former ▼ │  │
///                        └──┘ ──after the last one──▶ resting: nobodyKnows, or found: the former
/// ```
struct SentinelDiscovery: Equatable {
    /// Why one Sentinel's answer could not be used.
    struct Problem: Equatable, Sendable {
        var sentinel: Int
        var words: String
    }

    enum State: Equatable {
        case resting
        /// - rest: the Sentinels that are asked after this one.
        /// - stale: who has named the former primary, if somebody has.
        case asking(Int, rest: [Int], problems: [Problem], stale: Int?)
    }

    enum Event: Equatable {
        /// A dial needs the address.
        case wanted
        /// The Sentinel that was asked named a server, or gave no answer that can be used.
        case named(RedisEndpoint)
        case failed(String)
        /// The server was dialled, and is the primary; or it was not reached, or is none.
        case verified(RedisEndpoint)
        case disproved(RedisEndpoint, String)
        /// A Sentinel has announced a failover.
        case switched(from: RedisEndpoint, to: RedisEndpoint, by: Int)
    }

    enum Action: Equatable {
        case ask(Int)
        case found(RedisEndpoint)
        /// Every Sentinel was asked in vain.
        case nobodyKnows([Problem])
        /// Connections to other servers than this one are out of date.
        case moved(RedisEndpoint)
        /// Log a Sentinel's problem.
        case complain(Problem)
    }

    private(set) var state = State.resting
    /// All Sentinels, the most promising one first.
    private(set) var order: [Int]
    /// The primary, as verified or announced last.
    private(set) var primary: RedisEndpoint?
    /// The primary before the last failover. A Sentinel that still names it has not heard of the failover, which takes up to
    /// two seconds; the server may still call itself a primary, and what it accepts would be lost.
    private(set) var former: RedisEndpoint?
    private var lastNamed: (endpoint: RedisEndpoint, sentinel: Int)?

    /// - Parameter count: number of Sentinels, at least 1.
    init(count: Int) { order = Array(0..<count) }

    static func == (one: Self, other: Self) -> Bool {
        one.state == other.state && one.order == other.order && one.primary == other.primary
            && one.former == other.former && one.lastNamed?.endpoint == other.lastNamed?.endpoint
            && one.lastNamed?.sentinel == other.lastNamed?.sentinel
    }

    mutating func handle(_ event: Event) -> [Action] {
        switch event {
        case .wanted: return wanted()
        case .named(let endpoint): return named(endpoint)
        case .failed(let words): return failed(words)
        case .verified(let endpoint): return verified(endpoint)
        case .disproved(let endpoint, let words): return disproved(endpoint, words)
        case .switched(let from, let to, let sentinel): return switched(from, to, by: sentinel)
        }
    }

    /// Dials that begin during a round share its result.
    private mutating func wanted() -> [Action] {
        guard case .resting = state else { return [] }
        state = .asking(order[0], rest: Array(order.dropFirst()), problems: [], stale: nil)
        return [.ask(order[0])]
    }

    private mutating func named(_ endpoint: RedisEndpoint) -> [Action] {
        guard case .asking(let sentinel, let rest, let problems, let stale) = state else { return [] }
        if endpoint == former, !rest.isEmpty {
            state = .asking(rest[0], rest: Array(rest.dropFirst()), problems: problems, stale: stale ?? sentinel)
            return [.ask(rest[0])]
        }
        return found(endpoint, by: endpoint == former ? stale ?? sentinel : sentinel)
    }

    private mutating func found(_ endpoint: RedisEndpoint, by sentinel: Int) -> [Action] {
        state = .resting
        lastNamed = (endpoint, sentinel)
        prefer(sentinel)
        return [.found(endpoint)]
    }

    private mutating func failed(_ words: String) -> [Action] {
        guard case .asking(let sentinel, let rest, var problems, let stale) = state else { return [] }
        let problem = Problem(sentinel: sentinel, words: words)
        problems.append(problem)
        if let next = rest.first {
            state = .asking(next, rest: Array(rest.dropFirst()), problems: problems, stale: stale)
            return [.complain(problem), .ask(next)]
        }
        if let stale, let former { return [.complain(problem)] + found(former, by: stale) }
        state = .resting
        return [.complain(problem), .nobodyKnows(problems)]
    }

    private mutating func verified(_ endpoint: RedisEndpoint) -> [Action] {
        if endpoint == former { former = nil }
        guard endpoint != primary else { return [] }
        defer { primary = endpoint }
        return primary == nil ? [] : [.moved(endpoint)]
    }

    private mutating func disproved(_ endpoint: RedisEndpoint, _ words: String) -> [Action] {
        guard let lastNamed, lastNamed.endpoint == endpoint else { return [] }
        self.lastNamed = nil
        order.removeAll { $0 == lastNamed.sentinel }
        order.append(lastNamed.sentinel)
        return [.complain(Problem(sentinel: lastNamed.sentinel, words: words))]
    }

    private mutating func switched(_ from: RedisEndpoint, _ to: RedisEndpoint, by sentinel: Int) -> [Action] {
        // The other Sentinels may not have heard yet.
        prefer(sentinel)
        former = from == to ? nil : from
        guard to != primary else { return [] }
        primary = to
        return [.moved(to)]
    }

    private mutating func prefer(_ sentinel: Int) {
        order.removeAll { $0 == sentinel }
        order.insert(sentinel, at: 0)
    }
}
