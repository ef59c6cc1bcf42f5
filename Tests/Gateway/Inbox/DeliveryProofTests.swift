import Broker
import TestSupport
import Testing

@testable import Gateway

/// Every state with every event: a ping is out or not, a pause is on or not, something was written since or not.
struct DeliveryProofTests {
    private typealias House = SessionHouse

    private struct State: CaseIterable, CustomStringConvertible {
        var isPinged: Bool, isPausing: Bool, hasWritten: Bool
        static let allCases = [false, true].flatMap { pinged in
            [false, true].flatMap { pausing in
                [false, true].map { State(isPinged: pinged, isPausing: pausing, hasWritten: $0) }
            }
        }
        var description: String { "pinged \(isPinged), pausing \(isPausing), written \(hasWritten)" }
        /// Whether a batch may be followed by a ping now.
        var mayPing: Bool { !isPinged && !isPausing }
    }

    private static let group = House.group

    /// A machine in the state, and the token of the ping that is out. Message 1 is under that ping, message 2 was written since.
    private func machine(_ state: State) -> (DeliveryProof, DeliveryProof.Token?) {
        var machine = DeliveryProof(salt: 7), token: DeliveryProof.Token?
        if state.isPinged || state.isPausing {
            machine.wrote(House.at(1), in: Self.group)
            token = machine.batchEnded()
            if !state.isPausing { #expect(machine.pauseEnded() == nil) }
            if !state.isPinged {
                #expect(machine.pong(token!) == .proven([Self.group: House.at(1)], nil))
                token = nil
            }
        }
        if state.hasWritten { machine.wrote(House.at(2), in: Self.group) }
        return (machine, token)
    }

    @Test(arguments: State.allCases)
    private func `A batch is followed by a ping unless one is out or a pause is on`(state: State) {
        var (machine, _) = machine(state)
        #expect((machine.batchEnded() != nil) == (state.mayPing && state.hasWritten))
        machine.wrote(House.at(3), in: Self.group)
        #expect((machine.batchEnded() != nil) == (state.mayPing && !state.hasWritten), "and by no second one")
    }

    @Test(arguments: State.allCases)
    private func `The end of a pause brings the ping for what was written, unless one is out`(state: State) {
        var (machine, _) = machine(state)
        #expect((machine.pauseEnded() != nil) == (!state.isPinged && state.hasWritten))
    }

    @Test(arguments: State.allCases)
    private func `A pong proves what was written before its ping, and nothing later`(state: State) {
        var (machine, token) = machine(state)
        guard let token else { return #expect(machine.pong(.init(salt: 7, number: 1)) == .ignored) }
        guard case .proven(let positions, let next) = machine.pong(token) else {
            Issue.record("the pong of the ping that is out was ignored")
            return
        }
        #expect(positions == [Self.group: House.at(1)])
        #expect((next != nil) == (state.hasWritten && !state.isPausing))
        #expect(machine.pong(token) == .ignored, "it proves once")
        if let next { #expect(machine.pong(next) == .proven([Self.group: House.at(2)], nil)) }
    }

    @Test(arguments: State.allCases)
    private func `A pong for a ping that was never sent proves nothing`(state: State) {
        var (machine, token) = machine(state)
        #expect(machine.pong(.init(salt: 8, number: token?.number ?? 1)) == .ignored)
        #expect(machine.pong(.init(salt: 7, number: 99)) == .ignored)
        if let token { #expect(machine.pong(token) != .ignored, "and the true one still does") }
    }

    @Test(arguments: State.allCases)
    private func `The keep-alive's ping proves everything that is unproven`(state: State) {
        var (machine, old) = machine(state)
        let token = machine.keepAliveIsDue()
        guard state.isPinged || state.hasWritten else { return #expect(token == nil) }
        if let old { #expect(machine.pong(old) == .ignored, "it was replaced") }
        #expect(machine.pong(token!) == .proven([Self.group: House.at(state.hasWritten ? 2 : 1)], nil))
    }

    @Test(arguments: State.allCases)
    private func `Nothing of a group that was left is confirmed`(state: State) {
        var (machine, token) = machine(state)
        machine.left(Self.group)
        if let token { #expect(machine.pong(token) == .proven([:], nil)) }
        #expect(machine.batchEnded() == nil && machine.pauseEnded() == nil && machine.keepAliveIsDue() == nil)
    }

    /// A client that answers in order, sometimes late, sometimes with inventions; and a list of what it has received.
    @Test(arguments: 0..<50 as Range<UInt64>)
    func `Random events: nothing unreceived is proven, everything is in the end, and pings keep their distance`(
        seed: UInt64
    ) {
        var generator = SeededGenerator(seed: seed)
        let groups = ["a", "b", "c"].map { try! GroupName($0) }
        var machine = DeliveryProof(salt: seed)
        var sent: DeliveryProof.Positions = [:], proven: DeliveryProof.Positions = [:]
        /// Pings on their way, each with what the client has when it gets it.
        var pings: [(token: DeliveryProof.Token, has: DeliveryProof.Positions)] = []
        var isPausing = false
        func send(_ token: DeliveryProof.Token?) {
            guard let token else { return }
            #expect(!isPausing, "two pings in one pause")
            isPausing = true
            pings.append((token, sent))
        }
        func answer() {
            guard !pings.isEmpty else { return }
            let (token, has) = pings.removeFirst()
            guard case .proven(let positions, let next) = machine.pong(token) else { return }
            for (group, position) in positions {
                #expect(position.offset <= has[group]!.offset, "seed \(seed)")
                proven[group] = position
            }
            send(next)
        }
        for _ in 0..<500 {
            switch Int.random(in: 0..<10, using: &generator) {
            case 0..<4:
                for _ in 0...Int.random(in: 0..<3, using: &generator) {
                    let group = groups.randomElement(using: &generator)!
                    sent[group] = House.at((sent[group]?.offset ?? 0) + 1)
                    machine.wrote(sent[group]!, in: group)
                }
                send(machine.batchEnded())
            case 4, 5:
                guard isPausing else { break }
                isPausing = false
                send(machine.pauseEnded())
            case 6, 7: answer()
            case 8:
                #expect(machine.pong(.init(salt: seed + 1, number: .random(in: 0..<50, using: &generator))) == .ignored)
            default: if let token = machine.keepAliveIsDue() { pings.append((token, sent)) }
            }
        }
        while isPausing || !pings.isEmpty {
            answer()
            guard isPausing else { continue }
            isPausing = false
            send(machine.pauseEnded())
        }
        #expect(proven == sent, "seed \(seed)")
    }
}
