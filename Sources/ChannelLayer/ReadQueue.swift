import Broker

/// feed: reads of the live feed, for messages it missed. cursors: reads of clients that lag or resume.
enum ReadLane: Hashable { case feed, cursors }

/// Reads of groups' logs on their way to Redis: shared, in turns, one call at a time, and dropped when nobody waits any more.
///
/// - Readers of the same place share the read, and its page.
/// - A reader that comes while a call for its place is in flight shares that page too, if the log continued after it: a later
///   read would return the same. If the page reached the log's end, messages may have been sent since, so it is read again.
/// - The live feed and lagging cursors have separate lanes. The feed goes first, but never twice while a cursor waits.
/// - The number of reads per call adapts to how many found room in the lane's last calls: one that finds none costs Redis a
///   lookup for nothing.
///
/// A value without I/O. `Waiter` is a promise in production, `Ticket` a `ReadTicket`.
///
/// ```
///   ask ──▶ waiting ──nextCall()──▶ under way ──answered──▶ told
///              ▲                        │ later, or the log's end with readers that came meanwhile
///              └────────────────────────┘
///   giveUp(ticket): removed wherever it is; a read that nobody waits for any more is not sent
/// ```
struct ReadQueue<Ticket: Hashable, Waiter> {
    struct Read: Equatable {
        var place: ReadPlace
        /// The largest room among those who wait for the page.
        var bytes: Int
    }

    /// The result of one read of a call.
    enum Answer: Equatable {
        /// A page, with more in the log after it; or an answer that would be the same if asked again.
        case page
        /// A page up to the log's end.
        case end
        /// The call had no room left for it.
        case later
    }

    /// Maximum reads in one call.
    static var mostReads: Int { 256 }
    static var fewestReads: Int { 4 }

    private struct Asker {
        var ticket: Ticket
        var waiter: Waiter
    }

    private struct Pending {
        var bytes: Int
        var askers: [Asker]
        /// Readers that came while the call was in flight.
        var late: [Asker] = []
    }

    private struct Key: Hashable {
        var lane: ReadLane
        var place: ReadPlace
    }

    private var feed = ReadTurns<Pending>()
    private var cursors = ReadTurns<Pending>()
    private var windows: [ReadLane: Int] = [:]
    private var underWay: (lane: ReadLane, places: [ReadPlace], reads: [ReadPlace: Pending])?
    private var lastLane = ReadLane.cursors
    /// The places of each ticket's reads; a place occurs as often as it was asked for.
    private var keys: [Ticket: [Key]] = [:]

    /// Number of reads that wait for a call.
    var waiting: Int { feed.count + cursors.count }
    var isUnderWay: Bool { underWay != nil }

    mutating func ask(_ place: ReadPlace, bytes: Int, in lane: ReadLane, _ ticket: Ticket, _ waiter: Waiter) {
        let asker = Asker(ticket: ticket, waiter: waiter)
        keys[ticket, default: []].append(Key(lane: lane, place: place))
        if underWay?.lane == lane, underWay?.reads[place] != nil {
            underWay?.reads[place]?.late.append(asker)
        } else {
            wait([asker], bytes, place, lane)
        }
    }

    private mutating func wait(_ askers: [Asker], _ bytes: Int, _ place: ReadPlace, _ lane: ReadLane) {
        if var pending = self[lane][place] {
            pending.askers += askers
            pending.bytes = max(pending.bytes, bytes)
            self[lane][place] = pending
        } else {
            self[lane].append(Pending(bytes: bytes, askers: askers), at: place)
        }
    }

    private subscript(lane: ReadLane) -> ReadTurns<Pending> {
        get { lane == .feed ? feed : cursors }
        _modify { if lane == .feed { yield &feed } else { yield &cursors } }
    }

    /// The reads of the next call, all of one lane; nil while a call is in flight, or when nothing waits.
    ///
    /// - Parameter cursorsRest: lagging cursors have been given enough for now, so only the feed may read.
    mutating func nextCall(cursorsRest: Bool = false) -> (lane: ReadLane, reads: [Read])? {
        let cursorsWait = !cursors.isEmpty && !cursorsRest
        guard underWay == nil, cursorsWait || !feed.isEmpty else { return nil }
        let lane: ReadLane = feed.isEmpty || cursorsWait && lastLane == .feed ? .cursors : .feed
        let taken = self[lane].take(windows[lane] ?? Self.mostReads)
        lastLane = lane
        underWay = (lane, taken.map(\.place), Dictionary(uniqueKeysWithValues: taken.map { ($0.place, $0.read) }))
        return (lane, taken.map { Read(place: $0.place, bytes: $0.read.bytes) })
    }

    /// - Parameter answers: the answers to the call's reads, in order.
    /// - Returns: the waiters to complete with each answer; none for a read that will be repeated.
    mutating func answered(_ answers: [Answer]) -> [[Waiter]] {
        guard let (lane, places, reads) = underWay else { return [] }
        underWay = nil
        let full = answers.count { $0 == .later }
        let window = windows[lane] ?? Self.mostReads
        windows[lane] =
            full > 0 ? max(places.count - full, Self.fewestReads) : min(window * 4, Self.mostReads)
        var told = [[Waiter]](repeating: [], count: places.count)
        // Groups for which nothing found room, in order; they are put before those for which something did.
        var seen = Set(zip(places, answers).filter { $0.1 != .later }.map(\.0.group))
        let unserved = places.map(\.group).filter { seen.insert($0).inserted }
        defer { for group in unserved.reversed() { self[lane].letGoFirst(group) } }
        // From the end: what is put back last becomes its group's first.
        for index in places.indices.reversed() {
            guard let pending = reads[places[index]], !pending.askers.isEmpty || !pending.late.isEmpty else { continue }
            let place = places[index]
            switch answers[index] {
            case .later:
                let again = Pending(bytes: pending.bytes, askers: pending.askers + pending.late)
                self[lane].putBack(again, at: place)
            case .page: told[index] = tell(pending.askers + pending.late, Key(lane: lane, place: place))
            case .end:
                told[index] = tell(pending.askers, Key(lane: lane, place: place))
                if !pending.late.isEmpty { wait(pending.late, pending.bytes, place, lane) }
            }
        }
        return told
    }

    /// The call failed.
    ///
    /// - Returns: the waiters to fail.
    mutating func failed() -> [Waiter] {
        guard let (lane, places, reads) = underWay else { return [] }
        underWay = nil
        return places.flatMap { place in
            reads[place].map { tell($0.askers + $0.late, Key(lane: lane, place: place)) } ?? []
        }
    }

    private mutating func tell(_ askers: [Asker], _ key: Key) -> [Waiter] {
        for asker in askers { forget(asker.ticket, key) }
        return askers.map(\.waiter)
    }

    private mutating func forget(_ ticket: Ticket, _ key: Key) {
        guard let index = keys[ticket]?.firstIndex(of: key) else { return }
        keys[ticket]?.remove(at: index)
        if keys[ticket]?.isEmpty == true { keys[ticket] = nil }
    }

    /// Cancels all reads with this ticket.
    ///
    /// - Returns: their waiters.
    mutating func giveUp(_ ticket: Ticket) -> [Waiter] {
        var gone: [Waiter] = []
        func leave(_ askers: inout [Asker]) {
            gone += askers.filter { $0.ticket == ticket }.map(\.waiter)
            askers.removeAll { $0.ticket == ticket }
        }
        for key in Set(keys.removeValue(forKey: ticket) ?? []) {
            if underWay?.lane == key.lane, var pending = underWay?.reads[key.place] {
                leave(&pending.askers)
                leave(&pending.late)
                underWay?.reads[key.place] = pending
            } else if var pending = self[key.lane][key.place] {
                leave(&pending.askers)
                self[key.lane][key.place] = pending.askers.isEmpty ? nil : pending
            }
        }
        return gone
    }
}
