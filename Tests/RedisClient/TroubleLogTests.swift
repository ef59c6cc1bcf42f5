import NIOCore
import Testing

@testable import RedisClient

struct TroubleLogTests {
    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000)

    @Test func `A trouble is said when it begins and once a minute, with the number held back`() {
        var log = TroubleLog()
        var said: [Int] = []
        for second in 0..<180 {
            if let held = log.begins("OOM", now: start + .seconds(Int64(second))) { said.append(held) }
        }
        #expect(said == [0, 59, 59])
        #expect(log.ends() == true)
        #expect(log.ends() == false, "its end is said once")
    }

    @Test func `One that comes and goes every second is two lines a minute`() {
        var log = TroubleLog()
        var lines = 0
        for second in 0..<60 {
            if log.begins("OOM", now: start + .seconds(Int64(second))) != nil { lines += 1 }
            if log.ends() { lines += 1 }
        }
        #expect(lines == 2)
    }

    @Test func `Another kind of trouble is said at once`() {
        var log = TroubleLog()
        #expect(log.begins("READONLY", now: start) == 0)
        #expect(log.begins("MISCONF", now: start) == 0)
        #expect(log.begins("READONLY", now: start) == nil)
    }

    @Test func `Without a trouble there is no end of one`() {
        var log = TroubleLog()
        #expect(log.ends() == false)
    }

    @Test func `A server that makes up kinds is said, and remembered within bounds`() {
        var log = TroubleLog()
        for number in 0..<1000 { #expect(log.begins("E\(number)", now: start) == 0) }
    }
}
