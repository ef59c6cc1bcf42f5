import Broker
import TestSupport
import Testing

@testable import ChannelLayer

/// Each event in each state, and random histories against a list.
struct ConfirmationBatchTests {
    typealias Batch = ConfirmationBatch
    typealias Confirmation = Broker.Confirmation

    private static func confirmation(_ group: String, _ offset: UInt64, user: String? = "42") -> Confirmation {
        Confirmation(
            group: try! GroupName(group), user: user, position: Position(epoch: "e", history: "a", offset: offset))
    }

    private func batch(_ state: Batch.State) -> Batch {
        var batch = Batch()
        guard state != .idle else { return batch }
        #expect(batch.add(Self.confirmation("g", 1)) == .startTimer(milliseconds: 100))
        if state == .sending { #expect(batch.timerFired() == .send([Self.confirmation("g", 1)])) }
        #expect(batch.state == state)
        return batch
    }

    private static let states = [Batch.State.idle, .collecting, .sending]

    @Test(arguments: states) func `Only the first confirmation starts the timer`(state: Batch.State) {
        var batch = batch(state)
        let action = batch.add(Self.confirmation("h", 1))
        #expect(action == (state == .idle ? .startTimer(milliseconds: 100) : nil))
        #expect(batch.state == (state == .idle ? .collecting : state))
    }

    @Test(arguments: states) func `The timer sends what was collected, unless a call is in flight`(state: Batch.State) {
        var batch = batch(state)
        #expect(batch.timerFired() == (state == .collecting ? .send([Self.confirmation("g", 1)]) : nil))
        #expect(batch.state == (state == .idle ? .idle : .sending))
    }

    @Test(arguments: states) func `What was taken is forgotten`(state: Batch.State) {
        var batch = batch(state)
        #expect(batch.sent(.taken) == nil)
        #expect(batch.state == (state == .sending ? .idle : state))
        #expect(batch.count == (state == .collecting ? 1 : 0))
    }

    @Test(arguments: states) func `What Redis could not take waits a second, and is sent again`(state: Batch.State) {
        var batch = batch(state)
        #expect(batch.sent(.unavailable) == (state == .sending ? .startTimer(milliseconds: 1000) : nil))
        if state == .sending { #expect(batch.timerFired() == .send([Self.confirmation("g", 1)])) }
    }

    @Test(arguments: states) func `What Redis refuses is dropped`(state: Batch.State) {
        var batch = batch(state)
        #expect(batch.sent(.refused) == nil)
        #expect(batch.count == (state == .collecting ? 1 : 0))
    }

    @Test func `A later confirmation replaces an earlier one, and an earlier one changes nothing`() {
        var batch = batch(.collecting)
        #expect(batch.add(Self.confirmation("g", 5)) == nil && batch.add(Self.confirmation("g", 3)) == nil)
        #expect(batch.timerFired() == .send([Self.confirmation("g", 5)]))
    }

    @Test func `A position of another history replaces the one before`() {
        var batch = batch(.collecting)
        let other = Confirmation(
            group: try! GroupName("g"), user: "42", position: Position(epoch: "e", history: "b", offset: 1))
        _ = batch.add(Self.confirmation("g", 9))
        _ = batch.add(other)
        #expect(batch.timerFired() == .send([other]))
    }

    @Test func `What comes while a call is in flight is newer than what the call gives back`() {
        var batch = batch(.sending)
        _ = batch.add(Self.confirmation("g", 7))
        #expect(batch.sent(.unavailable) == .startTimer(milliseconds: 1000))
        #expect(batch.timerFired() == .send([Self.confirmation("g", 7)]))
    }

    @Test func `There is room for a hundred thousand, and the rest is counted`() {
        var batch = Batch()
        for user in 0...Batch.capacity { _ = batch.add(Self.confirmation("g", 1, user: "\(user)")) }
        #expect(batch.count == Batch.capacity && batch.leftOut == 1)
        #expect(batch.add(Self.confirmation("g", 2, user: "0")) == nil && batch.leftOut == 1)
    }

    /// A model: the highest offset of each user that was ever confirmed is what Redis has in the end.
    @Test(arguments: 0..<50) func `Whatever fails on the way, Redis has the last of everybody in the end`(seed: UInt64)
    {
        var random = SeededGenerator(seed: seed), batch = Batch(), timers = 0
        var wanted: [String: UInt64] = [:], redis: [String: UInt64] = [:], inFlight: [Confirmation]?
        func perform(_ action: Batch.Action?) {
            switch action {
            case nil: break
            case .startTimer: timers += 1
            case .send(let confirmations):
                #expect(inFlight == nil && !confirmations.isEmpty && confirmations.count <= Batch.limit)
                inFlight = confirmations
            }
        }
        func answer(_ outcome: Batch.Outcome) {
            guard let confirmations = inFlight else { return }
            inFlight = nil
            if outcome == .taken {
                for one in confirmations { redis[one.user!] = max(redis[one.user!] ?? 0, one.position.offset) }
            }
            perform(batch.sent(outcome))
        }
        for _ in 0..<400 {
            switch Int.random(in: 0..<4, using: &random) {
            case 0, 1:
                let user = "\(Int.random(in: 0..<5, using: &random))",
                    offset = UInt64.random(in: 1...50, using: &random)
                wanted[user] = max(wanted[user] ?? 0, offset)
                perform(batch.add(Self.confirmation("g", offset, user: user)))
            case 2 where timers > 0:
                timers -= 1
                perform(batch.timerFired())
            default: answer(Bool.random(using: &random) ? .taken : .unavailable)
            }
            #expect(timers <= 1 && (timers == 1) == (batch.state == .collecting))
        }
        while batch.state != .idle {
            if timers > 0 {
                timers -= 1
                perform(batch.timerFired())
            }
            answer(.taken)
        }
        #expect(redis == wanted)
    }
}
