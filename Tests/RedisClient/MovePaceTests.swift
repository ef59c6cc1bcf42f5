import NIOCore
import TestSupport
import Testing

@testable import RedisClient

/// How soon announcements of a failover are followed.
struct MovePaceTests {
    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000)

    @Test func `The first announcement is followed at once`() {
        var generator = SeededGenerator(seed: 1), pace = MovePace()
        #expect(pace.delay(at: start, using: &generator) == .zero)
    }

    @Test func `Those that come soon after wait longer and longer, but never longer than the ceiling`() {
        var generator = SeededGenerator(seed: 2), longest: [TimeAmount] = Array(repeating: .zero, count: 12)
        for _ in 0..<200 {
            var pace = MovePace()
            _ = pace.delay(at: start, using: &generator)
            for index in longest.indices {
                longest[index] = max(longest[index], pace.delay(at: start, using: &generator))
            }
        }
        #expect(
            longest[0] <= .milliseconds(200) && longest[1] <= .milliseconds(400) && longest[2] <= .milliseconds(800))
        #expect(longest[2] > .milliseconds(400) && longest[11] > .seconds(5) && longest[11] <= MovePace.ceiling)
    }

    @Test func `After a pause the next one is followed at once, and the delays are short again`() {
        var generator = SeededGenerator(seed: 3), pace = MovePace()
        for _ in 0..<50 { _ = pace.delay(at: start, using: &generator) }
        let later = start + MovePace.pause
        #expect(pace.delay(at: later, using: &generator) == .zero)
        #expect(pace.delay(at: later, using: &generator) <= .milliseconds(200))
    }

    /// Announcements at random times, at most 59 s apart: however many there are, connections follow few of them.
    @Test(arguments: UInt64(1)...10)
    func `However many announcements there are, few are followed`(seed: UInt64) {
        var generator = SeededGenerator(seed: seed), pace = MovePace()
        var now = start, free = start, followed = 0
        while now < start + .minutes(10) {
            // As RedisLink does: those that come while one waits are followed together with it.
            if now >= free {
                free = now + pace.delay(at: now, using: &generator)
                followed += 1
            }
            now = now + .milliseconds(Int64.random(in: 1...20, using: &generator))
        }
        #expect(followed < 250, "of about 60,000")
    }
}
