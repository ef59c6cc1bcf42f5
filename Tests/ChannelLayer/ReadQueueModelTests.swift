import Broker
import TestSupport
import Testing

@testable import ChannelLayer

/// Random readers of a log that grows while calls are in flight.
struct ReadQueueModelTests {
    private struct Asker {
        var place: ReadPlace
        var ticket: Int
        /// The last call that was made before it asked.
        var asked: Int
    }

    private struct Model {
        var queue = ReadQueue<Int, Int>()
        var generator: SeededGenerator
        var calls = 0
        var number = 0
        /// The readers that wait.
        var askers: [Int: Asker] = [:]
        var underWay: [ReadQueue<Int, Int>.Read]?
        var lane = ReadLane.cursors

        init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

        mutating func step() {
            switch Int.random(in: 0..<100, using: &generator) {
            case 0..<45: ask()
            case 45..<70: call()
            case 70..<90: answer()
            case 90..<93: fail()
            default: giveUp(Int.random(in: 0..<30, using: &generator))
            }
        }

        mutating func ask() {
            number += 1
            let name = "\(Int.random(in: 0..<4, using: &generator))"
            let offset = UInt64.random(in: 0..<4, using: &generator)
            let place = ReadPlace(
                group: try! GroupName(name), since: Position(epoch: "e", history: "a", offset: offset))
            let ticket = Int.random(in: 0..<30, using: &generator)
            askers[number] = Asker(place: place, ticket: ticket, asked: calls)
            queue.ask(
                place, bytes: number, in: Bool.random(using: &generator) ? .feed : .cursors, ticket, number)
        }

        mutating func call() {
            let next = queue.nextCall()
            #expect((next == nil) == (underWay != nil || askers.isEmpty), "there is a call whenever somebody waits")
            guard let (lane, reads) = next else { return }
            calls += 1
            underWay = reads
            #expect(Set(reads.map(\.place)).count == reads.count, "no place twice")
            for read in reads {
                #expect(askers.values.contains { $0.place == read.place }, "nothing is read for nobody")
            }
            self.lane = lane
        }

        mutating func answer() {
            guard let reads = underWay else { return }
            underWay = nil
            let answers = reads.map { _ in
                let all: [ReadQueue<Int, Int>.Answer] = [.page, .end, .later]
                return all.randomElement(using: &generator)!
            }
            for (index, waiters) in queue.answered(answers).enumerated() {
                if answers[index] == .later { #expect(waiters.isEmpty) }
                for waiter in waiters {
                    #expect(askers[waiter]?.place == reads[index].place)
                    if answers[index] == .end {
                        #expect(askers[waiter].map { $0.asked < calls } == true, "asked before the call was made")
                    }
                    done(waiter)
                }
            }
        }

        mutating func fail() {
            underWay = nil
            for waiter in queue.failed() { done(waiter) }
        }

        /// Only a waiting reader may be completed, and only once.
        mutating func done(_ waiter: Int) { #expect(askers.removeValue(forKey: waiter) != nil) }

        mutating func giveUp(_ ticket: Int) {
            let gone = queue.giveUp(ticket)
            #expect(Set(gone) == Set(askers.filter { $0.value.ticket == ticket }.keys))
            for waiter in gone { done(waiter) }
        }

        /// Runs until every reader has been completed.
        mutating func drain() {
            var steps = 0
            while !askers.isEmpty || queue.isUnderWay, steps < 1000 {
                steps += 1
                underWay = queue.nextCall()?.reads ?? underWay
                guard let reads = underWay else { break }
                underWay = nil
                for waiter in queue.answered(reads.map { _ in .end }).flatMap({ $0 }) { done(waiter) }
            }
            #expect(askers.isEmpty && queue.waiting == 0)
        }
    }

    @Test(arguments: 0..<40)
    func `Random events: everybody is told once, by a page that is not too old, and nobody who has gone`(seed: UInt64) {
        var model = Model(seed: seed)
        for _ in 0..<2000 { model.step() }
        model.drain()
    }
}
