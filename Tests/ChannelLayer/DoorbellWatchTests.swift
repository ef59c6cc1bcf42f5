import Testing

@testable import ChannelLayer

/// Every pair of state and event of `DoorbellWatch`.
@Suite struct DoorbellWatchTests {
    private static func hearing() -> DoorbellWatch {
        var watch = DoorbellWatch()
        _ = watch.tick()
        _ = watch.heard()
        return watch
    }

    private static func deaf() -> DoorbellWatch {
        var watch = DoorbellWatch()
        _ = watch.tick()
        _ = watch.tick()
        return watch
    }

    @Test func `A new watch knows nothing, so the inboxes are polled`() {
        let watch = DoorbellWatch()
        #expect(watch.state == .unknown && watch.mustPoll && !watch.isUnanswered)
    }

    @Test func `The first tick rings and looks`() {
        var watch = DoorbellWatch()
        #expect(watch.tick() == [.ring, .checkInboxes])
        #expect(watch.state == .unknown && watch.mustPoll && watch.isUnanswered)
    }

    @Test func `A ring that is heard ends the polling`() {
        var watch = DoorbellWatch()
        _ = watch.tick()
        #expect(watch.heard() == [])
        #expect(watch.state == .hearing && !watch.mustPoll && !watch.isUnanswered)
    }

    @Test func `A first ring that is not heard is said, and the bell is set`() {
        var watch = DoorbellWatch()
        _ = watch.tick()
        #expect(watch.tick() == [.sayDeaf, .set, .ring, .checkInboxes])
        #expect(watch.state == .deaf(ticks: 0) && watch.mustPoll)
    }

    @Test func `A heard bell is rung again with each tick`() {
        var watch = Self.hearing()
        for _ in 0..<10 {
            #expect(watch.tick() == [.ring, .checkInboxes])
            #expect(watch.heard() == [])
            #expect(watch.state == .hearing)
        }
    }

    @Test func `A bell that falls silent is noticed with the next tick`() {
        var watch = Self.hearing()
        #expect(watch.tick() == [.ring, .checkInboxes])
        #expect(watch.tick() == [.sayDeaf, .set, .ring, .checkInboxes])
        #expect(watch.mustPoll)
    }

    @Test func `A dead bell is set again every fourth tick, and said only once`() {
        var watch = Self.deaf()
        for _ in 0..<3 {
            for _ in 1..<DoorbellWatch.patience { #expect(watch.tick() == [.ring, .checkInboxes]) }
            #expect(watch.tick() == [.set, .ring, .checkInboxes])
        }
    }

    @Test func `A dead bell that is heard again is said, and the inboxes are looked into once more`() {
        var watch = Self.deaf()
        #expect(watch.heard() == [.sayHearing, .checkInboxes])
        #expect(watch.state == .hearing && !watch.mustPoll && !watch.isUnanswered)
    }

    @Test func `A bell that others ring is heard too`() {
        var watch = DoorbellWatch()
        #expect(watch.heard() == [])
        #expect(watch.state == .hearing)
        var hearing = Self.hearing()
        #expect(hearing.heard() == [] && hearing.state == .hearing)
    }

    @Test(arguments: [DoorbellWatch(), hearing(), deaf()])
    func `With a connection everything that was known of the bell is gone`(_ before: DoorbellWatch) {
        var watch = before
        watch.lost()
        #expect(watch.state == .unknown && watch.mustPoll && !watch.isUnanswered)
        #expect(watch.tick() == [.ring, .checkInboxes], "what was rung on the old connection counts for nothing")
    }

    /// Always: polls after two ticks of silence, and not after an answered tick.
    @Test(arguments: 0..<20) func `A random life polls exactly while the bell is not heard`(_ seed: Int) {
        var generator = SystemRandomNumberGenerator()
        var watch = DoorbellWatch()
        var heardSinceTick = false
        var knows = false
        for _ in 0..<500 {
            switch Int.random(in: 0..<10, using: &generator) {
            case 0: watch.lost(); knows = false; heardSinceTick = true
            case 1...5:
                let actions = watch.tick()
                if !heardSinceTick { knows = false }
                heardSinceTick = false
                #expect(actions.contains(.ring) && actions.contains(.checkInboxes))
            default: _ = watch.heard(); knows = true; heardSinceTick = true
            }
            #expect(watch.mustPoll == !knows)
        }
    }
}
