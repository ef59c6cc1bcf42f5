import NIOCore
import TestSupport
import Testing

@testable import RedisClient

struct BackoffTests {
    @Test func `Each delay lies between zero and the doubled base, at most the ceiling`() {
        var generator = SeededGenerator(seed: 1)
        for _ in 0..<200 {
            var backoff = Backoff(base: .milliseconds(100), ceiling: .seconds(1))
            for widest in [100, 200, 400, 800, 1000, 1000, 1000] {
                let delay = backoff.next(using: &generator)
                #expect(delay >= .zero && delay <= .milliseconds(Int64(widest)))
            }
        }
    }

    @Test func `The jitter is full: delays fill the whole range`() {
        var generator = SeededGenerator(seed: 2)
        let delays = (0..<1000).map { _ in
            var backoff = Backoff(base: .milliseconds(100), ceiling: .seconds(1))
            return backoff.next(using: &generator)
        }
        #expect(delays.min()! < .milliseconds(5))
        #expect(delays.max()! > .milliseconds(95))
        let mean = delays.map(\.nanoseconds).reduce(0, +) / 1000
        #expect((45_000_000...55_000_000).contains(mean))
    }

    @Test func `A thousand losses in a row do not overflow`() {
        var generator = SeededGenerator(seed: 3)
        var backoff = Backoff(base: .seconds(1), ceiling: .seconds(30))
        for _ in 0..<1000 { #expect(backoff.next(using: &generator) <= .seconds(30)) }
    }

    @Test func `After a reset the delays are short again`() {
        var generator = SeededGenerator(seed: 4)
        var backoff = Backoff(base: .milliseconds(10), ceiling: .seconds(10))
        for _ in 0..<10 { _ = backoff.next(using: &generator) }
        backoff.reset()
        #expect(backoff.next(using: &generator) <= .milliseconds(10))
    }

    @Test func `A base above the ceiling is cut to it`() {
        var generator = SeededGenerator(seed: 5)
        var backoff = Backoff(base: .seconds(5), ceiling: .milliseconds(1))
        for _ in 0..<100 { #expect(backoff.next(using: &generator) <= .milliseconds(1)) }
    }
}
