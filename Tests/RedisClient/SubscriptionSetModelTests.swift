import TestSupport
import Testing

@testable import RedisClient

/// Random events with a simple model of Redis, which executes requests and answers them in order.
struct SubscriptionSetModelTests {
    private struct Model {
        var set = SubscriptionSet<Int>()
        var generator: SeededGenerator
        var isUp = false
        /// Channels sent to the server, one by one, not yet processed.
        var wire: [(subscribe: Bool, channel: String)] = []
        var subscribed: Set<String> = []
        /// The channels that should be wanted; true: confirmed since.
        var wanted: [String: Bool] = [:]
        var asked = 0
        var answers: [Int: Int] = [:]

        init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

        mutating func answer(_ waiters: [Int]) { for waiter in waiters { answers[waiter, default: 0] += 1 } }

        mutating func step() {
            let channel = "c\(Int.random(in: 0..<4, using: &generator))"
            switch Int.random(in: 0..<100, using: &generator) {
            case 0..<30: subscribe(channel)
            case 30..<50: unsubscribe(channel)
            case 50..<65: send()
            case 65..<94: carryOut()
            case 94..<97: if isUp { down() }
            default: if !isUp { up() }
            }
        }

        mutating func subscribe(_ channel: String) {
            asked += 1
            switch set.subscribe(channel, waiter: asked) {
            case .wait:
                #expect(isUp)
                if wanted[channel] == nil { wanted[channel] = false }
            case .alreadySubscribed:
                #expect(isUp && subscribed.contains(channel))
                #expect(wanted[channel] == true)
                answer([asked])
            case .unavailable:
                #expect(!isUp)
                answer([asked])
            }
        }

        mutating func unsubscribe(_ channel: String) {
            answer(set.unsubscribe(channel))
            wanted[channel] = nil
        }

        mutating func send() {
            guard isUp else { return }
            for request in set.takeRequests() {
                #expect((1...512).contains(request.channels.count))
                wire += request.channels.map { (request.subscribe, $0) }
            }
        }

        mutating func carryOut() {
            guard isUp, !wire.isEmpty else { return }
            let (subscribe, channel) = wire.removeFirst()
            if subscribe { subscribed.insert(channel) } else { subscribed.remove(channel) }
            let waiters = set.confirmed(channel)
            if !waiters.isEmpty { #expect(subscribed.contains(channel), "told that it stands, and it does not") }
            answer(waiters)
            if wanted[channel] != nil, subscribed.contains(channel), !wire.contains(where: { $0.channel == channel }),
                set.entries[channel]?.outstanding == 0
            {
                wanted[channel] = true
            }
        }

        mutating func down() {
            isUp = false
            answer(set.linkDown())
            wire = []
            subscribed = []
            wanted = wanted.filter(\.value)
        }

        mutating func up() {
            isUp = true
            set.linkUp()
        }

        mutating func settle() {
            if !isUp { up() }
            send()
            while !wire.isEmpty { carryOut() }
        }
    }

    /// A server that refuses some channels: it refuses a request as soon as it reaches one of them.
    private struct StrictModel {
        var set = SubscriptionSet<Int>()
        var generator: SeededGenerator
        let forbidden: Set<String>
        var wire: [SubscriptionSet<Int>.Request] = []
        var subscribed: Set<String> = []
        var wanted: Set<String> = []
        var asked = 0
        var answers: [Int: Int] = [:]

        init(seed: UInt64) {
            var generator = SeededGenerator(seed: seed)
            forbidden = Set((0..<6).filter { _ in Bool.random(using: &generator) }.map { "c\($0)" })
            self.generator = generator
            set.linkUp()
        }

        mutating func answer(_ waiters: [Int]) { for waiter in waiters { answers[waiter, default: 0] += 1 } }

        mutating func step() {
            let channel = "c\(Int.random(in: 0..<6, using: &generator))"
            switch Int.random(in: 0..<10, using: &generator) {
            case 0..<4:
                asked += 1
                if case .alreadySubscribed = set.subscribe(channel, waiter: asked) { answer([asked]) }
                wanted.insert(channel)
            case 4..<6:
                answer(set.unsubscribe(channel))
                wanted.remove(channel)
            case 6..<8: wire += set.takeRequests()
            default: carryOut()
            }
        }

        mutating func carryOut() {
            guard !wire.isEmpty else { return }
            let request = wire.removeFirst()
            if request.subscribe, !forbidden.isDisjoint(with: request.channels) {
                if case .fail(let channel, let waiters) = set.refused() {
                    #expect(forbidden.contains(channel))
                    wanted.remove(channel)
                    answer(waiters)
                }
                return
            }
            for channel in request.channels {
                if request.subscribe { subscribed.insert(channel) } else { subscribed.remove(channel) }
                let waiters = set.confirmed(channel)
                if !waiters.isEmpty { #expect(subscribed.contains(channel), "told that it stands, and it does not") }
                answer(waiters)
            }
        }

        mutating func settle() {
            for _ in 0..<100 {
                wire += set.takeRequests()
                while !wire.isEmpty { carryOut() }
            }
        }
    }

    @Test(arguments: 0..<20)
    func `Where some channels are forbidden all the others stand, and every waiter was answered once`(block: UInt64) {
        for seed in block * 100..<(block + 1) * 100 {
            var model = StrictModel(seed: seed)
            for _ in 0..<Int.random(in: 10...120, using: &model.generator) { model.step() }
            model.settle()
            #expect(model.subscribed == model.wanted.subtracting(model.forbidden), "seed \(seed)")
            #expect(Set(model.set.entries.keys) == model.subscribed, "seed \(seed)")
            #expect(model.set.unconfirmed == 0 && model.set.underWay == 0, "seed \(seed)")
            #expect(model.answers.count == model.asked && model.answers.values.allSatisfy { $0 == 1 }, "seed \(seed)")
        }
    }

    @Test(arguments: 0..<20)
    func `After quiescence exactly the wanted is subscribed, and every waiter was answered once`(block: UInt64) {
        for seed in block * 100..<(block + 1) * 100 {
            var model = Model(seed: seed)
            model.up()
            for _ in 0..<Int.random(in: 10...120, using: &model.generator) { model.step() }
            model.settle()
            #expect(model.subscribed == Set(model.wanted.keys), "seed \(seed)")
            #expect(Set(model.set.entries.keys) == Set(model.wanted.keys), "seed \(seed)")
            #expect(model.set.unconfirmed == 0, "seed \(seed)")
            #expect(model.answers.count == model.asked, "seed \(seed): somebody was not answered")
            #expect(model.answers.values.allSatisfy { $0 == 1 }, "seed \(seed): somebody was answered twice")
        }
    }
}
