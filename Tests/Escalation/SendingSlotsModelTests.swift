import TestSupport
import Testing

@testable import Escalation

/// Random events: what must hold always, and that everything ends.
struct SendingSlotsModelTests {
    /// What the sender would do: performs actions later, in any order.
    private struct Model {
        let capacity: Int
        let perOrigin: Int
        var slots: SendingSlots
        var generator: SeededGenerator
        var pendingClaim: Int?
        var inFlight: [String: String] = [:]
        var goingBack: Set<String> = []
        /// Claimed by the sender and not finished, with their origins.
        var claimed: [String: String] = [:]
        var stops = 0
        var next = 0

        init(seed: UInt64) {
            generator = SeededGenerator(seed: seed)
            capacity = .random(in: 1...9, using: &generator)
            perOrigin = .random(in: 1...capacity, using: &generator)
            slots = SendingSlots(capacity: capacity, perOrigin: perOrigin)
        }

        mutating func perform(_ actions: [SendingSlots.Action]) {
            for action in actions {
                switch action {
                case .claim(let limit):
                    #expect(pendingClaim == nil && !slots.isStopping, "one claim at a time, none after the stop")
                    #expect(limit > 0 && limit + claimed.count <= capacity)
                    pendingClaim = limit
                case .start(let id):
                    #expect(inFlight[id] == nil && !goingBack.contains(id))
                    inFlight[id] = claimed[id]
                    #expect(claimed[id] != nil, "only what was claimed is sent")
                case .putBack(let id):
                    #expect(claimed[id] != nil && inFlight[id] == nil && goingBack.insert(id).inserted)
                case .stopped:
                    stops += 1
                    #expect(claimed.isEmpty && pendingClaim == nil)
                }
            }
            for (origin, count) in Dictionary(inFlight.values.map { ($0, 1) }, uniquingKeysWith: +) {
                #expect(count <= perOrigin, "\(origin) has \(count)")
            }
            #expect(slots.held == claimed.count && claimed.count <= capacity)
        }

        /// - Parameter due: how many tasks the queue has.
        mutating func answer(_ due: Int) {
            guard let limit = pendingClaim else { return }
            pendingClaim = nil
            guard due >= 0 else { return perform(slots.claimFailed()) }
            let new = (0..<min(due, limit)).map { _ in
                next += 1
                return SendingSlots.Claim(id: "\(next)", origin: String("abc".randomElement(using: &generator)!))
            }
            for claim in new { claimed[claim.id] = claim.origin }
            // Sometimes one that is held already, whose claim has expired.
            let again =
                Bool.random(using: &generator)
                ? claimed.first.map { [SendingSlots.Claim(id: $0.key, origin: $0.value)] } : nil
            perform(slots.claimed(new + (again ?? []), limit: limit))
        }

        mutating func endOne() {
            let ready = inFlight.keys.sorted() + goingBack.sorted()
            guard let id = ready.randomElement(using: &generator) else { return }
            (inFlight[id], claimed[id]) = (nil, nil)
            goingBack.remove(id)
            perform(slots.ended(id))
        }

        mutating func step() {
            switch Int.random(in: 0..<10, using: &generator) {
            case 0: perform(slots.wake())
            case 1: perform(slots.tick())
            case 2: answer(-1)
            case 3...5: answer(.random(in: 0...12, using: &generator))
            default: endOne()
            }
        }
    }

    @Test(arguments: 0..<300 as Range<UInt64>)
    func `Slots are never exceeded, and a stop comes to its end`(seed: UInt64) {
        var model = Model(seed: seed)
        for _ in 0..<200 { model.step() }
        #expect(model.stops == 0)
        model.perform(model.slots.stop())
        for _ in 0..<100 {
            model.answer(.random(in: -1...12, using: &model.generator))
            model.endOne()
        }
        #expect(model.stops == 1 && model.claimed.isEmpty)
    }

    @Test(arguments: 0..<50 as Range<UInt64>)
    func `Whatever one origin does, the tasks of another are sent within some seconds`(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let capacity = Int.random(in: 2...16, using: &generator)
        var slots = SendingSlots(capacity: capacity, perOrigin: max(capacity / 2, 1))
        // Many tasks of an origin that hangs are due before the one of another.
        var due = (0..<500).map { SendingSlots.Claim(id: "h\($0)", origin: "hanging") }
        due.append(.init(id: "other", origin: "healthy"))
        var seconds = 0
        var actions = slots.wake()
        var isSent = false
        while !isSent, seconds < 10 {
            while let action = actions.first {
                actions.removeFirst()
                switch action {
                case .claim(let limit):
                    let some = due.prefix(limit)
                    due.removeFirst(some.count)
                    actions += slots.claimed(Array(some), limit: limit)
                case .start(let id): if id == "other" { isSent = true }
                case .putBack(let id): actions += slots.ended(id)
                case .stopped: Issue.record("nobody stopped it")
                }
            }
            seconds += 1
            actions += slots.tick()
        }
        #expect(isSent && seconds <= 4, "after \(seconds) s")
    }
}
