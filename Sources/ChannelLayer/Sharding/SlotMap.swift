public import RedisClient

/// Which server of a Redis Cluster has a slot, and what follows from its redirects.
///
/// A value without I/O, which nothing performs yet: gateways do not work with a Cluster (docs/scaling.md). Source: Redis Cluster
/// specification, "MOVED Redirection" and "ASK redirection".
///
/// ```
///   resting ──moved, lost──▶ listing: the map is requested
///           ◀──listed, listingFailed──
/// ```
public struct SlotMap: Sendable, Equatable {
    /// A run of slots and the primary that serves it.
    public struct Assignment: Sendable, Equatable {
        public var slots: ClosedRange<Int>
        public var server: RedisEndpoint

        /// - Parameter slots: within 0 to 16383.
        public init(_ slots: ClosedRange<Int>, at server: RedisEndpoint) {
            precondition(slots.lowerBound >= 0 && slots.upperBound < HashSlot.count)
            self.slots = slots
            self.server = server
        }
    }

    public enum Event: Sendable, Equatable {
        /// The reply to `CLUSTER SLOTS`.
        case listed([Assignment])
        /// There was none, or it could not be read.
        case listingFailed
        /// A command was redirected. Redirects of the same command before this one: `after`.
        case redirected(Redirect, after: Int)
        /// A server cannot be reached: a replica may have its slots soon.
        case lost(RedisEndpoint)
    }

    public enum Action: Sendable, Equatable {
        /// Send the command again, to this server. - asking: `ASKING` goes before it, as the slot is being moved there.
        case resend(RedisEndpoint, asking: Bool)
        /// The command fails: servers redirect to each other without end.
        case giveUp
        /// Send `CLUSTER SLOTS` to any server.
        case list
    }

    /// Redirects that one command may follow. A cluster at rest redirects once; one that moves a slot twice.
    public static let maximumRedirects = 5

    /// The servers that are known: those of the last map, and those that redirects have named since. Never empty.
    public private(set) var servers: [RedisEndpoint]
    /// Whether the map has been requested, and the reply has not come.
    public private(set) var isListing = false
    /// For each slot the place in `servers`; nil: it is not known.
    private var places: [Int?] = Array(repeating: nil, count: HashSlot.count)

    /// - Parameter seeds: servers that are asked for the map first. Not empty.
    public init(seeds: [RedisEndpoint]) {
        precondition(!seeds.isEmpty)
        servers = seeds
    }

    /// Where a name's slot is, as a place in `servers`. The first server if that is not known: any server redirects.
    public func index(of name: String) -> Int { places[HashSlot.of(name)] ?? 0 }

    /// Whether a server is known for every slot.
    public var isComplete: Bool { !places.contains(nil) }

    public mutating func handle(_ event: Event) -> [Action] {
        switch event {
        case .listed(let assignments):
            isListing = false
            replace(assignments)
            return []
        case .listingFailed:
            isListing = false
            return []
        case .redirected(let redirect, let before): return redirected(redirect, after: before)
        case .lost(let server): return servers.contains(server) ? list() : []
        }
    }

    /// A map without slots is one of a server that has left its cluster: the one that is known is kept.
    private mutating func replace(_ assignments: [Assignment]) {
        guard !assignments.isEmpty else { return }
        servers = []
        places = Array(repeating: nil, count: HashSlot.count)
        for assignment in assignments {
            let place = place(of: assignment.server)
            for slot in assignment.slots { places[slot] = place }
        }
    }

    private mutating func redirected(_ redirect: Redirect, after before: Int) -> [Action] {
        guard before < Self.maximumRedirects else { return [.giveUp] + list() }
        switch redirect.kind {
        case .ask: return [.resend(redirect.server, asking: true)]
        case .moved:
            places[redirect.slot] = place(of: redirect.server)
            return [.resend(redirect.server, asking: false)] + list()
        }
    }

    /// One request at a time, however many commands are redirected.
    private mutating func list() -> [Action] {
        guard !isListing else { return [] }
        isListing = true
        return [.list]
    }

    private mutating func place(of server: RedisEndpoint) -> Int {
        if let place = servers.firstIndex(of: server) { return place }
        servers.append(server)
        return servers.count - 1
    }
}
