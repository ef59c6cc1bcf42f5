import NIOCore
import Synchronization
import TestSupport
import Testing

@testable import Sockets

/// What a loop may rely on.
struct TimerQueueTests {
    private final class Log {
        var runs: [String] = []
    }

    private let log = Log()
    private func at(_ milliseconds: Int64) -> NIODeadline { .uptimeNanoseconds(0) + .milliseconds(milliseconds) }

    private func timer(_ name: String, at milliseconds: Int64) -> TimerQueue.Timer {
        let log = log
        return TimerQueue.Timer(deadline: at(milliseconds)) { isDue in log.runs.append(isDue ? name : "not \(name)") }
    }

    private func run(_ queue: inout TimerQueue, until milliseconds: Int64) -> [String] {
        log.runs = []
        for body in queue.due(at(milliseconds)) { body(true) }
        return log.runs
    }

    @Test func `Nothing is due where there is nothing, and nothing to wait for`() {
        var queue = TimerQueue()
        #expect(queue.due(at(1000)).isEmpty && queue.all().isEmpty)
        #expect(queue.millisecondsLeft(at(0)) == -1)
    }

    @Test func `What is due comes in the order of the deadlines, at the deadline and not before`() {
        var queue = TimerQueue()
        for milliseconds in [30, 10, 20] as [Int64] { queue.insert(timer("\(milliseconds)", at: milliseconds)) }
        #expect(run(&queue, until: 9) == [])
        #expect(run(&queue, until: 10) == ["10"])
        #expect(run(&queue, until: 10) == [], "once")
        #expect(run(&queue, until: 1000) == ["20", "30"])
        #expect(queue.millisecondsLeft(at(1000)) == -1)
    }

    @Test func `Of one deadline they come in the order in which they were set`() {
        var queue = TimerQueue()
        for name in ["a", "b", "c", "d"] { queue.insert(timer(name, at: 10)) }
        queue.insert(timer("before", at: 9))
        queue.insert(timer("after", at: 11))
        queue.insert(timer("e", at: 10))
        #expect(run(&queue, until: 20) == ["before", "a", "b", "c", "d", "e", "after"])
    }

    @Test func `The time that is left is rounded up, so that nobody wakes too early`() {
        var queue = TimerQueue()
        queue.insert(TimerQueue.Timer(deadline: .uptimeNanoseconds(5_000_001)) { _ in })
        #expect(queue.millisecondsLeft(.uptimeNanoseconds(0)) == 6)
        #expect(queue.millisecondsLeft(.uptimeNanoseconds(1)) == 5)
        #expect(queue.millisecondsLeft(.uptimeNanoseconds(5_000_000)) == 1)
        #expect(queue.millisecondsLeft(.uptimeNanoseconds(5_000_001)) == 0)
        #expect(queue.millisecondsLeft(.uptimeNanoseconds(9_000_000)) == 0)
        queue.insert(timer("sooner", at: 2))
        #expect(queue.millisecondsLeft(.uptimeNanoseconds(0)) == 2)
    }

    /// epoll_wait takes an int: 24 days.
    @Test func `A time that is far away is cut, and asked for again`() {
        var queue = TimerQueue()
        queue.insert(TimerQueue.Timer(deadline: at(0) + .hours(24 * 365)) { _ in })
        #expect(queue.millisecondsLeft(at(0)) == .max)
        #expect(queue.due(at(0) + .milliseconds(Int64(CInt.max))).isEmpty)
    }

    @Test func `A cancelled timer never runs, wherever it stands`() {
        var queue = TimerQueue()
        let timers = (0..<6).map { timer("\($0)", at: Int64($0)) }
        for timer in timers { queue.insert(timer) }
        for index in [0, 2, 3, 5] { timers[index].isCancelled.store(true, ordering: .relaxed) }
        #expect(run(&queue, until: 10) == ["1", "4"])
        #expect(queue.millisecondsLeft(at(10)) == -1)
    }

    @Test func `One that is cancelled before it comes to the loop does not run either`() {
        var queue = TimerQueue()
        let timer = timer("a", at: 0)
        timer.isCancelled.store(true, ordering: .relaxed)
        queue.insert(timer)
        #expect(run(&queue, until: 10) == [])
    }

    @Test func `At the end all that are left are told that their time has not come, the next one first`() {
        var queue = TimerQueue()
        let cancelled = timer("cancelled", at: 15)
        for timer in [timer("late", at: 30), cancelled, timer("soon", at: 10)] { queue.insert(timer) }
        cancelled.isCancelled.store(true, ordering: .relaxed)
        for body in queue.all() { body(false) }
        #expect(log.runs == ["not soon", "not late"])
        #expect(queue.all().isEmpty && queue.millisecondsLeft(at(0)) == -1)
    }

    @Test(arguments: 0..<20)
    func `Random timers: each runs once, in order, and never early`(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var queue = TimerQueue()
        var waiting: [(deadline: Int64, number: Int, timer: TimerQueue.Timer)] = [], now: Int64 = 0, number = 0
        for _ in 0..<300 {
            for _ in 0..<Int.random(in: 0..<4, using: &generator) {
                let deadline = now + Int64.random(in: -5...40, using: &generator)
                let timer = timer("\(number)", at: deadline)
                queue.insert(timer)
                waiting.append((deadline, number, timer))
                number += 1
            }
            if let index = waiting.indices.randomElement(using: &generator), Bool.random(using: &generator) {
                waiting.remove(at: index).timer.isCancelled.store(true, ordering: .relaxed)
            }
            now += Int64.random(in: 0...20, using: &generator)
            let due = waiting.filter { $0.deadline <= now }.sorted {
                ($0.deadline, $0.number) < ($1.deadline, $1.number)
            }
            waiting.removeAll { $0.deadline <= now }
            #expect(run(&queue, until: now) == due.map { "\($0.number)" })
        }
    }
}
