import TestSupport
import Testing

@testable import Escalation

/// Each event in each state; `SendingSlotsModelTests` has random sequences of them.
struct SendingSlotsTests {
    /// With four slots, two for each origin.
    enum Place: CaseIterable, Sendable {
        /// Nothing is due.
        case idle
        case claiming
        /// Woken again during the claim.
        case claimingWoken
        /// a1 and a2 are in flight, and nothing else is due.
        case sending
        /// a1 and a2 are in flight, a3 waits for their origin.
        case waiting
        /// a1, a2, b1 and b2 are in flight: all slots are taken, and more may be due.
        case full
        /// a1 and a2 are in flight, a3 goes back to the queue.
        case busy
        case stoppingSending
        case stoppingClaiming
        case stopped
    }

    private func claims(_ names: String...) -> [SendingSlots.Claim] {
        names.map { .init(id: $0, origin: String($0.prefix(1))) }
    }

    private func slots(_ place: Place) -> SendingSlots {
        var slots = SendingSlots(capacity: 4, perOrigin: 2)
        switch place {
        case .idle: break
        case .claiming: #expect(slots.wake() == [.claim(limit: 4)])
        case .claimingWoken: _ = (slots.wake(), slots.wake())
        case .sending: _ = (slots.wake(), slots.claimed(claims("a1", "a2"), limit: 4))
        case .waiting: _ = (slots.wake(), slots.claimed(claims("a1", "a2", "a3"), limit: 4))
        case .full: _ = (slots.wake(), slots.claimed(claims("a1", "a2", "b1", "b2"), limit: 4))
        case .busy:
            _ = (slots.wake(), slots.claimed(claims("a1", "a2", "a3"), limit: 4), slots.tick())
            _ = slots.claimFailed()
            #expect(slots.tick() == [.putBack("a3"), .claim(limit: 1)])
            _ = slots.claimFailed()
        case .stoppingSending:
            slots = self.slots(.sending)
            #expect(slots.stop() == [])
        case .stoppingClaiming:
            slots = self.slots(.claiming)
            #expect(slots.stop() == [])
        case .stopped: #expect(slots.stop() == [.stopped])
        }
        return slots
    }

    @Test(arguments: Place.allCases)
    func `Waking claims as many as there are free slots, one claim at a time`(place: Place) {
        var slots = slots(place)
        let expected: [SendingSlots.Action] =
            switch place {
            case .idle: [.claim(limit: 4)]
            case .sending: [.claim(limit: 2)]
            case .waiting, .busy: [.claim(limit: 1)]
            default: []
            }
        #expect(slots.wake() == expected)
    }

    @Test(arguments: Place.allCases)
    func `Each second claims too`(place: Place) {
        var slots = slots(place)
        let expected: [SendingSlots.Action] =
            switch place {
            case .idle: [.claim(limit: 4)]
            case .sending: [.claim(limit: 2)]
            case .waiting, .busy: [.claim(limit: 1)]
            default: []
            }
        #expect(slots.tick() == expected)
    }

    @Test(arguments: Place.allCases)
    func `What a claim brings is started, where there is a slot for its origin`(place: Place) {
        var slots = slots(place)
        let actions = slots.claimed(claims("c1", "c2", "c3"), limit: 4)
        switch place {
        case .claiming:
            #expect(actions == [.start("c1"), .start("c2")])
            #expect(slots.held == 3, "the third waits")
        case .claimingWoken: #expect(actions == [.start("c1"), .start("c2"), .claim(limit: 1)])
        case .stoppingClaiming: #expect(actions == [.putBack("c1"), .putBack("c2"), .putBack("c3")])
        default: #expect(actions == [], "nothing was asked for")
        }
    }

    @Test(arguments: Place.allCases)
    func `A claim that failed is repeated by the next second, not at once`(place: Place) {
        var slots = slots(place)
        #expect(slots.claimFailed() == (place == .stoppingClaiming ? [.stopped] : []))
        if [.claiming, .claimingWoken].contains(place) { #expect(slots.tick() == [.claim(limit: 4)]) }
    }

    @Test(arguments: Place.allCases)
    func `An end makes room for the next of the same origin, and for a claim if more may be due`(place: Place) {
        var slots = slots(place)
        let expected: [SendingSlots.Action] =
            switch place {
            case .waiting: [.start("a3")]
            case .full: [.claim(limit: 1)]
            default: []
            }
        #expect(slots.ended("a1") == expected)
        if place == .stoppingSending { #expect(slots.ended("a2") == [.stopped]) }
        #expect(slots.ended("a1") == [], "it ends once")
    }

    @Test(arguments: Place.allCases)
    func `The end of what went back frees its slot`(place: Place) {
        var slots = slots(place)
        let held = slots.held
        #expect(slots.ended("a3") == [], "while it waits, it has not been given to anybody")
        #expect(slots.held == (place == .busy ? held - 1 : held))
    }

    @Test(arguments: Place.allCases)
    func `Stopping puts back what waits, and is over when nothing is held or claimed`(place: Place) {
        var slots = slots(place)
        let expected: [SendingSlots.Action] =
            switch place {
            case .idle: [.stopped]
            case .waiting: [.putBack("a3")]
            default: []
            }
        #expect(slots.stop() == expected)
        #expect(slots.isStopping)
        #expect(slots.stop() == [] && slots.wake() == [] && slots.tick() == [], "nothing begins any more")
    }

    // MARK: Origins

    @Test func `A full claim is followed by another one`() {
        var slots = slots(.claiming)
        #expect(
            slots.claimed(claims("a1", "b1", "c1"), limit: 3) == [
                .start("a1"), .start("b1"), .start("c1"), .claim(limit: 1),
            ])
        #expect(slots.claimed([], limit: 1) == [])
        #expect(slots.ended("a1") == [], "nothing more was due")
    }

    @Test func `An origin that hangs loses what waits after two seconds, and what comes after that at once`() {
        var slots = slots(.busy)
        #expect(slots.ended("a3") == [])
        #expect(slots.wake() == [.claim(limit: 2)])
        #expect(slots.claimed(claims("a4", "b1"), limit: 2) == [.putBack("a4"), .start("b1")])
        #expect(slots.ended("a4") == [.claim(limit: 1)])
    }

    @Test func `It is busy until half of its slots are free`() {
        var slots = slots(.busy)
        _ = (slots.ended("a3"), slots.ended("a1"), slots.wake())
        #expect(slots.claimed(claims("a5", "a6", "a7"), limit: 3) == [.start("a5")])
        #expect(slots.held == 4, "two wait")
    }

    @Test func `A healthy origin's tasks wait their turn`() {
        var slots = slots(.waiting)
        _ = slots.tick()
        #expect(slots.ended("a2") == [.start("a3")])
        #expect(slots.claimFailed() == [])
        #expect(slots.tick() == [.claim(limit: 2)], "nothing is put back")
    }

    @Test func `A task that is claimed again while it is held is not sent twice`() {
        for place in [Place.sending, .waiting, .busy] {
            var slots = slots(place)
            let held = slots.held
            _ = slots.wake()
            let again = place == .sending ? claims("a1") : claims("a1", "a3")
            #expect(slots.claimed(again, limit: 4) == [])
            #expect(slots.held == held)
        }
    }
}
