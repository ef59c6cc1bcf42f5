import NIOCore
import TestSupport
import Testing

@testable import Gateway

struct TokenBucketTests {
    private func at(_ milliseconds: Int) -> NIODeadline {
        .uptimeNanoseconds(1_000_000_000 + UInt64(milliseconds) * 1_000_000)
    }

    @Test func `A full bucket gives its burst at once, and then as much as time brings`() {
        let rate = TokenRate(perSecond: 10, burst: 5)
        var bucket = TokenBucket()
        let take = { (count: Int, milliseconds: Int) in bucket.take(count, of: rate, at: at(milliseconds)) }
        #expect((0..<7).map { _ in take(1, 0) } == [true, true, true, true, true, false, false])
        #expect(!take(1, 99))
        #expect(take(1, 100))
        #expect(!take(1, 100))
        #expect((0..<3).map { _ in take(1, 300) } == [true, true, false])
    }

    @Test func `It holds no more than its burst, however long it rested`() {
        let rate = TokenRate(perSecond: 10, burst: 3)
        var bucket = TokenBucket()
        let take = { (count: Int, milliseconds: Int) in bucket.take(count, of: rate, at: at(milliseconds)) }
        for hour in 0..<3 {
            let taken = (0..<10).count { _ in take(1, hour * 3_600_000) }
            #expect(taken == 3)
        }
    }

    @Test func `Several are taken together or not at all`() {
        let rate = TokenRate(perSecond: 1, burst: 10)
        var bucket = TokenBucket()
        let take = { (count: Int, milliseconds: Int) in bucket.take(count, of: rate, at: at(milliseconds)) }
        #expect(!take(11, 0))
        #expect(!take(.max, 0))
        #expect(take(7, 0))
        #expect(!take(4, 0))
        #expect(take(3, 0))
        #expect(take(0, 0))
    }

    @Test func `A rate of nothing is no limit`() {
        let rate = TokenRate(perSecond: 0, burst: 0)
        var bucket = TokenBucket()
        let take = { (count: Int, milliseconds: Int) in bucket.take(count, of: rate, at: at(milliseconds)) }
        #expect(!rate.isLimited && take(.max, 0) && bucket == TokenBucket())
    }

    @Test(arguments: 0..<20)
    func `Random streams: never more than the burst and the time's worth, and never less than is due`(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let perSecond = Int.random(in: 1...1000, using: &generator), burst = Int.random(in: 1...100, using: &generator)
        let rate = TokenRate(perSecond: perSecond, burst: burst)
        var bucket = TokenBucket()
        let take = { (count: Int, milliseconds: Int) in bucket.take(count, of: rate, at: at(milliseconds)) }
        // The same bucket, modelled by its contents.
        var level = Double(burst), now = 0, before = 0
        for _ in 0..<5000 {
            now += Int.random(in: 0...20, using: &generator)
            level = min(Double(burst), level + Double(now - before) / 1000 * Double(perSecond))
            before = now
            let taken = take(1, now)
            // The interval is truncated to whole nanoseconds.
            if abs(level - 1) > 0.01 { #expect(taken == (level >= 1), "level \(level)") }
            if taken { level -= 1 }
        }
    }
}

struct ConnectionCountsTests {
    @Test func `Places are counted by key, and a key without any is forgotten`() {
        let counts = ConnectionCounts<String>(limit: 2)
        #expect(counts.enter("a") && counts.enter("a") && !counts.enter("a") && counts.enter("b"))
        counts.leave("a")
        #expect(counts.enter("a") && !counts.enter("a"))
        for key in ["a", "a", "b", "b", "never"] { counts.leave(key) }
        #expect(counts.count == 0)
    }

    @Test func `Without a limit nothing is counted`() {
        let counts = ConnectionCounts<String>(limit: 0)
        for _ in 0..<100 { #expect(counts.enter("a")) }
        #expect(counts.count == 0)
    }
}
