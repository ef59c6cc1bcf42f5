import TestSupport
import Testing

@testable import ChannelLayer

/// Each event in each state, and random histories against a list of due times.
struct DueTurnTests {
    private func turn(_ state: DueTurn.State) -> DueTurn {
        var turn = DueTurn()
        if state != .paused { #expect(turn.resume() == .check) }
        if state == .running || state == .pausing { #expect(turn.checked(anythingWaits: true) == .run) }
        if state == .pausing {
            #expect(turn.ran(done: DueTurn.limit, wait: 0, isFirst: true) == .startPause(milliseconds: 10))
        }
        #expect(turn.state == state)
        return turn
    }

    private static let states = [DueTurn.State.paused, .idle, .running, .pausing]

    @Test(arguments: states) func `It begins to look when the layer can be used`(state: DueTurn.State) {
        var turn = turn(state)
        #expect(turn.resume() == (state == .paused ? .check : nil))
        #expect(turn.state == (state == .paused ? .idle : state))
    }

    @Test(arguments: states) func `A pause ends everything`(state: DueTurn.State) {
        var turn = turn(state)
        turn.pause()
        #expect(turn.state == .paused && turn.tick() == nil && turn.timerFired() == nil && turn.pauseEnded() == nil)
        #expect(turn.ran(done: 1, wait: 5, isFirst: true) == nil && turn.checked(anythingWaits: true) == nil)
    }

    @Test(arguments: states) func `Each second it looks, unless a call is in flight`(state: DueTurn.State) {
        var turn = turn(state)
        #expect(turn.tick() == (state == .idle ? .check : nil))
    }

    @Test(arguments: states) func `It calls only when something waits`(state: DueTurn.State) {
        var turn = turn(state)
        #expect(turn.checked(anythingWaits: false) == nil)
        #expect(turn.checked(anythingWaits: true) == (state == .idle ? .run : nil))
    }

    @Test(arguments: states) func `After a full call the first gateway goes on when it has paused`(state: DueTurn.State)
    {
        var turn = turn(state)
        let pause = turn.ran(done: DueTurn.limit, wait: 0, isFirst: true)
        #expect(pause == (state == .running ? .startPause(milliseconds: 10) : nil))
        #expect(turn.tick() == (state == .idle ? .check : nil))
        #expect(turn.pauseEnded() == ([.running, .pausing].contains(state) ? .run : nil))
    }

    @Test(arguments: states) func `After a full call the other gateways wait for the next second`(state: DueTurn.State)
    {
        var turn = turn(state)
        #expect(turn.ran(done: DueTurn.limit, wait: 0, isFirst: false) == nil)
        #expect(turn.tick() == ([.running, .idle].contains(state) ? .check : nil))
    }

    @Test(arguments: states) func `What is due before the next tick gets a timer, and only one`(state: DueTurn.State) {
        var turn = turn(state)
        #expect(
            turn.ran(done: 0, wait: 300, isFirst: false) == (state == .running ? .startTimer(milliseconds: 301) : nil))
        guard state == .running else { return }
        #expect(turn.checked(anythingWaits: true) == .run && turn.ran(done: 0, wait: 200, isFirst: true) == nil)
        #expect(turn.timerFired() == .run)
    }

    @Test(arguments: states) func `What is due later is for the ticks`(state: DueTurn.State) {
        var turn = turn(state)
        #expect(turn.ran(done: 3, wait: 5000, isFirst: true) == nil)
        #expect(turn.state == (state == .running ? .idle : state))
    }

    @Test(arguments: states) func `After a failure the next tick tries again`(state: DueTurn.State) {
        var turn = turn(state)
        turn.failed()
        #expect(turn.tick() == ([.idle, .running].contains(state) ? .check : nil))
    }

    @Test(arguments: states) func `The timer calls, unless a call is in flight`(state: DueTurn.State) {
        var turn = turn(state)
        #expect(turn.timerFired() == (state == .idle ? .run : nil))
    }

    /// A clock in ms, a Redis that answers at once, and failures: nothing that is due is more than a second late while calls
    /// succeed.
    @Test(arguments: 0..<50) func `Nothing is more than a second late`(seed: UInt64) {
        var random = SeededGenerator(seed: seed), turn = DueTurn(), now = 0, timer: Int?, pause: Int?
        var due = (0..<300).map { _ in Int.random(in: 0..<20_000, using: &random) }.sorted()
        var latest = 0
        func perform(_ action: DueTurn.Action?) {
            switch action {
            case nil: break
            case .check: perform(turn.checked(anythingWaits: !due.isEmpty))
            case .startTimer(let milliseconds):
                #expect(timer == nil)
                timer = now + milliseconds
            case .startPause(let milliseconds): pause = now + milliseconds
            case .run:
                let ready = due.prefix { $0 <= now }.prefix(DueTurn.limit)
                for time in ready { latest = max(latest, now - time) }
                due.removeFirst(ready.count)
                perform(turn.ran(done: ready.count, wait: due.first.map { max($0 - now, 0) }, isFirst: true))
            }
        }
        perform(turn.resume())
        while now < 25_000 {
            now += 1
            if timer == now {
                timer = nil
                perform(turn.timerFired())
            }
            if pause == now { perform(turn.pauseEnded()) }
            if now % 1000 == 0 { perform(turn.tick()) }
        }
        #expect(due.isEmpty && latest <= 1000)
    }
}
