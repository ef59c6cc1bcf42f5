import Testing

@testable import ChannelLayer

/// Each event in each state.
struct CollectionTurnTests {
    private func turn(_ state: CollectionTurn.State) -> CollectionTurn {
        var turn = CollectionTurn()
        if state != .idle { #expect(turn.begin() == true) }
        if state == .dueAgain { #expect(turn.begin() == false) }
        #expect(turn.state == state)
        return turn
    }

    private static let states = [CollectionTurn.State.idle, .underWay, .dueAgain]

    @Test(arguments: states) func `One collection at a time, and whoever asks meanwhile gets another`(
        state: CollectionTurn.State
    ) {
        var turn = turn(state)
        #expect(turn.isUnderWay == (state != .idle))
        #expect(turn.begin() == (state == .idle))
        #expect(turn.state == (state == .idle ? .underWay : .dueAgain))
    }

    @Test(arguments: states) func `What a collection could not take is for the next one`(state: CollectionTurn.State) {
        var turn = turn(state)
        turn.foundMore()
        #expect(turn.state == (state == .idle ? .idle : .dueAgain))
    }

    @Test(arguments: states) func `At its end it is known whether another one is due`(state: CollectionTurn.State) {
        var turn = turn(state)
        #expect(turn.end() == (state == .dueAgain))
        #expect(turn.state == .idle)
        #expect(turn.begin() == true)
    }
}
