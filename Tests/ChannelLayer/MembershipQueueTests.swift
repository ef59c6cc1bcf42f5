import Broker
import TestSupport
import Testing

@testable import ChannelLayer

struct MembershipQueueTests {
    private typealias Queue = MembershipQueue<Int>
    private static let group = try! GroupName("news")

    private static func change(_ number: Int, waiter: Bool = true) -> Queue.Change {
        Queue.Change(
            group: group, member: Member(connection: ConnectionID(value: UInt64(number)), user: nil),
            waiter: waiter ? number : nil)
    }

    private static func departure(_ number: Int) -> Queue.Departure {
        Queue.Departure(group: group, connection: ConnectionID(value: UInt64(number)))
    }

    /// `+1 +2` for joins, `-3` for leaves; nil: no batch.
    private static func text(_ batch: Queue.Batch?) -> String? {
        switch batch {
        case .add(let changes): changes.map { "+\($0.member.connection.value)" }.joined(separator: " ")
        case .discard(let departures): departures.map { "-\($0.connection.value)" }.joined(separator: " ")
        case nil: nil
        }
    }

    private func open() -> MembershipQueue<Int> {
        var queue = Queue()
        queue.resume()
        return queue
    }

    // MARK: Paused

    @Test func `At first Redis is away: joins are refused, leaves are kept`() {
        var queue = Queue()
        #expect(queue.isPaused)
        #expect(queue.add(Self.change(1)) == false)
        queue.discard(Self.departure(2))
        #expect(Self.text(queue.nextBatch()) == nil)
        queue.resume()
        #expect(Self.text(queue.nextBatch()) == "-2")
    }

    @Test func `A pause gives back the joins that wait and forgets refreshes, but no leave`() {
        var queue = open()
        _ = queue.add(Self.change(1))
        _ = queue.add(Self.change(2))
        queue.refresh([Self.change(3, waiter: false)])
        queue.discard(Self.departure(4))
        #expect(queue.pause().map(\.waiter) == [1, 2])
        #expect(queue.pause().isEmpty)
        #expect(queue.add(Self.change(5)) == false)
        queue.resume()
        #expect(Self.text(queue.nextBatch()) == "-4")
        queue.finished(.discards)
        #expect(Self.text(queue.nextBatch()) == nil)
    }

    // MARK: Open

    @Test func `Nothing queued is no batch`() {
        var queue = open()
        #expect(Self.text(queue.nextBatch()) == nil)
        queue.finished(.adds)
        #expect(Self.text(queue.nextBatch()) == nil)
    }

    @Test func `Leaves go first, then joins, without waiting for each other; refreshes go after the joins`() {
        var queue = open()
        queue.refresh([Self.change(9, waiter: false)])
        _ = queue.add(Self.change(1))
        _ = queue.add(Self.change(2))
        queue.discard(Self.departure(3))
        queue.discard(Self.departure(4))
        #expect(Self.text(queue.nextBatch()) == "-3 -4")
        #expect(Self.text(queue.nextBatch()) == "+1 +2")
        #expect(Self.text(queue.nextBatch()) == nil)
        queue.discard(Self.departure(5))
        #expect(Self.text(queue.nextBatch()) == nil, "leaves are under way")
        queue.finished(.adds)
        #expect(Self.text(queue.nextBatch()) == "+9")
        queue.finished(.discards)
        #expect(Self.text(queue.nextBatch()) == "-5")
        queue.finished(.adds)
        queue.finished(.discards)
        #expect(Self.text(queue.nextBatch()) == nil)
    }

    @Test func `What comes while a batch is under way gathers for the next`() {
        var queue = open()
        _ = queue.add(Self.change(1))
        #expect(Self.text(queue.nextBatch()) == "+1")
        for number in 2...4 { _ = queue.add(Self.change(number)) }
        #expect(Self.text(queue.nextBatch()) == nil)
        queue.finished(.adds)
        #expect(Self.text(queue.nextBatch()) == "+2 +3 +4")
    }

    @Test func `A new refresh takes the place of an old one`() {
        var queue = open()
        queue.refresh([Self.change(1, waiter: false), Self.change(2, waiter: false)])
        queue.refresh([Self.change(3, waiter: false)])
        #expect(Self.text(queue.nextBatch()) == "+3")
        queue.finished(.adds)
        #expect(Self.text(queue.nextBatch()) == nil)
    }

    @Test func `A batch has at most 512 of each`() {
        var queue = open()
        for number in 0..<1025 { _ = queue.add(Self.change(number)) }
        var sizes: [Int] = []
        while case .add(let changes) = queue.nextBatch() {
            sizes.append(changes.count)
            queue.finished(.adds)
        }
        #expect(sizes == [512, 512, 1])
    }

    @Test func `Leaves that were not confirmed are owed before the others`() {
        var queue = open()
        queue.discard(Self.departure(1))
        guard case .discard(let first) = queue.nextBatch() else { return #expect(Bool(false)) }
        queue.discard(Self.departure(2))
        _ = queue.pause()
        queue.owe(first)
        #expect(Self.text(queue.nextBatch()) == nil)
        queue.resume()
        #expect(Self.text(queue.nextBatch()) == "-1 -2")
    }

    @Test func `Leaves that failed at once are not the next batch at once, and joins do not wait for them`() {
        var queue = open()
        queue.discard(Self.departure(1))
        guard case .discard(let first) = queue.nextBatch() else { return #expect(Bool(false)) }
        queue.owe(first)
        queue.discard(Self.departure(2))
        _ = queue.add(Self.change(3))
        #expect(Self.text(queue.nextBatch()) == "+3")
        #expect(Self.text(queue.nextBatch()) == nil)
        queue.rested()
        #expect(Self.text(queue.nextBatch()) == "-1 -2")
        queue.rested()
        queue.discard(Self.departure(4))
        #expect(Self.text(queue.nextBatch()) == nil, "leaves are under way")
    }

    @Test(arguments: 0..<40)
    func `Random events: no join is lost or told twice, no leave is lost, and order holds`(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var queue = Queue()
        var number = 0
        var joins: [Int] = [], leaves: [Int] = []
        var leaving: [Queue.Departure]?
        var isResting = false
        var isJoining = false
        var joined: [Int] = [], returned: [Int] = [], accepted: [Int] = []
        for _ in 0..<1500 {
            number += 1
            switch Int.random(in: 0..<21, using: &generator) {
            case 0..<8:
                let isAccepted = queue.add(Self.change(number))
                #expect(isAccepted == !queue.isPaused)
                if isAccepted {
                    joins.append(number)
                    accepted.append(number)
                }
            case 8..<12:
                queue.discard(Self.departure(number))
                leaves.append(number)
            case 12..<17:
                switch queue.nextBatch() {
                case .discard(let departures):
                    #expect(!queue.isPaused && leaving == nil && !isResting)
                    #expect(departures.map { Int($0.connection.value) } == Array(leaves.prefix(512)))
                    leaves.removeFirst(departures.count)
                    leaving = departures
                case .add(let changes):
                    #expect(!queue.isPaused && !isJoining && (leaving != nil || isResting || leaves.isEmpty))
                    #expect(changes.compactMap(\.waiter) == Array(joins.prefix(512)))
                    joins.removeFirst(changes.count)
                    joined += changes.compactMap(\.waiter)
                    isJoining = true
                case nil:
                    let noLeave = leaving != nil || isResting || leaves.isEmpty
                    #expect(queue.isPaused || noLeave && (isJoining || joins.isEmpty))
                }
            case 17:
                isJoining = false
                queue.finished(.adds)
            case 18:
                guard let departures = leaving else { break }
                leaving = nil
                if Bool.random(using: &generator) {
                    queue.owe(departures)
                    isResting = true
                    leaves = departures.map { Int($0.connection.value) } + leaves
                } else {
                    queue.finished(.discards)
                }
            case 19:
                queue.rested()
                isResting = false
            default:
                if queue.isPaused {
                    queue.resume()
                    isResting = false
                } else if Int.random(in: 0..<3, using: &generator) == 0 {
                    let back = queue.pause().compactMap(\.waiter)
                    #expect(back == joins)
                    returned += back
                    joins = []
                }
            }
        }
        #expect((joined + returned + joins).sorted() == accepted)
    }
}
