import Broker
import NIOCore
import Testing

struct LogThrottleTests {
    private func at(_ seconds: UInt64) -> NIODeadline {
        .uptimeNanoseconds(1_000_000_000_000 + seconds * 1_000_000_000)
    }

    @Test func `The first goes through, the next ones of its minute are held back and counted`() {
        var throttle = LogThrottle()
        #expect(throttle.pass(now: at(0)) == 0)
        for second in [0, 1, 30, 59] as [UInt64] { #expect(throttle.pass(now: at(second)) == nil) }
        #expect(throttle.pass(now: at(60)) == 4)
        #expect(throttle.pass(now: at(61)) == nil)
        #expect(throttle.pass(now: at(120)) == 1)
    }

    @Test func `After a quiet time nothing was held back`() {
        var throttle = LogThrottle()
        #expect(throttle.pass(now: at(0)) == 0)
        #expect(throttle.pass(now: at(3600)) == 0)
        #expect(throttle.pass(now: at(3659)) == nil)
        #expect(throttle.pass(now: at(3660)) == 1)
    }

    @Test func `A flood is one line and a number`() {
        var throttle = LogThrottle()
        #expect((0..<100_000).compactMap { _ in throttle.pass(now: at(5)) } == [0])
        #expect(throttle.pass(now: at(65)) == 99_999)
    }
}
