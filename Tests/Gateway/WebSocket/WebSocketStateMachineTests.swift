import TestSupport
import Testing

@testable import Gateway

/// Every state with every event.
struct WebSocketStateMachineTests {
    private enum Stage: String, CaseIterable { case open, closing, ending, closed }

    private func machine(_ stage: Stage) -> WebSocketStateMachine {
        var machine = WebSocketStateMachine()
        switch stage {
        case .open: break
        case .closing: #expect(machine.close() == .sendClose)
        case .ending: #expect(machine.closeArrived() == .sendCloseAndEnd)
        case .closed: machine.transportEnded()
        }
        return machine
    }

    @Test func `Frames count only while it is open`() {
        for stage in Stage.allCases {
            #expect(machine(stage).frameArrived() == (stage == .open ? .handle : .ignore), "\(stage)")
            #expect(machine(stage).isOpen == (stage == .open), "\(stage)")
        }
    }

    @Test func `We close once`() {
        for stage in Stage.allCases {
            var machine = machine(stage)
            #expect(machine.close() == (stage == .open ? .sendClose : .ignore), "\(stage)")
            #expect(machine.close() == .ignore, "\(stage)")
            #expect(!machine.isOpen)
        }
    }

    @Test func `The peer's close is answered once, or ends what we began`() {
        let answers: [Stage: WebSocketStateMachine.CloseAction] = [
            .open: .sendCloseAndEnd, .closing: .end, .ending: .ignore, .closed: .ignore,
        ]
        for stage in Stage.allCases {
            var machine = machine(stage)
            #expect(machine.closeArrived() == answers[stage], "\(stage)")
            #expect(machine.closeArrived() == .ignore, "\(stage)")
            #expect(machine.frameArrived() == .ignore, "\(stage)")
        }
    }

    @Test func `A violation is told once, and ends what we began`() {
        let answers: [Stage: WebSocketStateMachine.CloseAction] = [
            .open: .sendCloseAndEnd, .closing: .end, .ending: .ignore, .closed: .ignore,
        ]
        for stage in Stage.allCases {
            var machine = machine(stage)
            #expect(machine.violation() == answers[stage], "\(stage)")
            #expect(machine.violation() == .ignore, "\(stage)")
            #expect(machine.closeArrived() == .ignore, "\(stage)")
        }
    }

    @Test func `A probe pings an open connection, ends one that ought to have ended, and leaves a closed one`() {
        let answers: [Stage: WebSocketStateMachine.PingAction] = [
            .open: .sendPing, .closing: .end, .ending: .end, .closed: .ignore,
        ]
        for stage in Stage.allCases {
            var machine = machine(stage)
            #expect(machine.probeIsDue() == answers[stage], "\(stage)")
        }
    }

    @Test func `A ping without an answer is the end`() {
        var machine = machine(.open)
        #expect(machine.probeIsDue() == .sendPing)
        #expect(machine.probeIsDue() == .end)
        #expect(!machine.isOpen)
        #expect(machine.probeIsDue() == .ignore)
    }

    @Test func `Any byte answers a ping, and the next ping waits for its time`() {
        var machine = machine(.open)
        for _ in 0..<10 {
            #expect(machine.probeIsDue() == .sendPing)
            machine.bytesArrived()
            machine.bytesArrived()
            #expect(machine.probeIsDue() == .wait)
        }
    }

    @Test func `Bytes before a ping do not answer it`() {
        var machine = machine(.open)
        machine.bytesArrived()
        #expect(machine.probeIsDue() == .sendPing)
        #expect(machine.probeIsDue() == .end)
    }

    @Test func `Bytes do not keep a closing connection alive`() {
        for stage in [Stage.closing, .ending] {
            var machine = machine(stage)
            machine.bytesArrived()
            #expect(machine.probeIsDue() == .end)
        }
    }

    @Test func `The end of the transport is the end of everything`() {
        for stage in Stage.allCases {
            var machine = machine(stage)
            machine.transportEnded()
            machine.bytesArrived()
            #expect(machine.close() == .ignore)
            #expect(machine.closeArrived() == .ignore)
            #expect(machine.violation() == .ignore)
            #expect(machine.probeIsDue() == .ignore)
        }
    }

    @Test(arguments: 0..<50)
    func `Random events: one close frame at most, nothing after the end, and every connection ends`(seed: UInt64) {
        for round in 0..<100 as Range<UInt64> {
            var generator = SeededGenerator(seed: seed * 1000 + round)
            var machine = WebSocketStateMachine()
            var closeFrames = 0, ends = 0
            func note(_ action: WebSocketStateMachine.CloseAction) {
                if action == .sendClose || action == .sendCloseAndEnd { closeFrames += 1 }
                if action == .end { ends += 1 }
            }
            for _ in 0..<30 {
                switch Int.random(in: 0..<12, using: &generator) {
                case 0: note(machine.close())
                case 1: note(machine.closeArrived())
                case 2: note(machine.violation())
                case 3..<6: machine.bytesArrived()
                case 6..<9:
                    let before = machine.isOpen
                    let action = machine.probeIsDue()
                    if action == .sendPing || action == .wait { #expect(before && machine.isOpen) }
                    if action == .end { ends += 1 }
                default: #expect((machine.frameArrived() == .handle) == machine.isOpen)
                }
                #expect(closeFrames <= 1 && ends <= 1, "seed \(seed), round \(round)")
                if closeFrames == 1 || ends == 1 { #expect(!machine.isOpen) }
            }
            // A silent peer is closed after at most three probes, whatever happened before.
            for _ in 0..<3 { if machine.probeIsDue() == .end { ends += 1 } }
            #expect(ends == 1, "seed \(seed), round \(round)")
        }
    }
}
