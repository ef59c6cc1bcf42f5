import TestSupport
import Testing

@testable import Gateway

struct DeadlineWheelTests {
    private final class One: DeadlineOwner {
        let name: Int
        var wheelPlace: WheelPlace?
        init(_ name: Int) { self.name = name }
        func tick() -> Int? { nil }
    }

    private func names(_ due: [any DeadlineOwner]) -> [Int] { due.map { ($0 as! One).name }.sorted() }

    @Test(arguments: [1, 2, 10, 62, 63])
    func `Whoever enters is due after so many seconds, once`(seconds: Int) {
        var wheel = DeadlineWheel()
        let one = One(1)
        wheel.enter(one, in: seconds)
        for second in 1...200 { #expect(names(wheel.advance()) == (second == seconds ? [1] : []), "second \(second)") }
        #expect(one.wheelPlace == nil)
    }

    @Test(arguments: [(0, 1), (-5, 1), (64, 63), (1000, 63)])
    func `Delays are cut to what the wheel can hold`(asked: Int, got: Int) {
        var wheel = DeadlineWheel()
        wheel.enter(One(1), in: asked)
        let second = (1...200).first { _ in !wheel.advance().isEmpty }
        #expect(second == got)
    }

    @Test func `Entering again moves, leaving ends, and leaving twice is nothing`() {
        var wheel = DeadlineWheel()
        let one = One(1), other = One(2)
        wheel.enter(one, in: 3)
        wheel.enter(one, in: 5)
        wheel.enter(other, in: 5)
        wheel.leave(other)
        wheel.leave(other)
        #expect((1...10).map { _ in names(wheel.advance()) } == [[], [], [], [], [1], [], [], [], [], []])
    }

    @Test func `One may leave while another is due`() {
        var wheel = DeadlineWheel()
        let all = (0..<5).map(One.init)
        for one in all { wheel.enter(one, in: 1) }
        let due = wheel.advance()
        #expect(due.count == 5)
        for one in all { wheel.leave(one) }
        wheel.enter(all[3], in: 1)
        #expect(names(wheel.advance()) == [3])
    }

    @Test(arguments: 0..<20)
    func `Random entering and leaving: the wheel says what a plain table says`(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var wheel = DeadlineWheel()
        let all = (0..<50).map(One.init)
        var table: [Int: Int] = [:]
        var now = 0
        for _ in 0..<5000 {
            let one = all.randomElement(using: &generator)!
            switch Int.random(in: 0..<10, using: &generator) {
            case 0..<5:
                let seconds = Int.random(in: 0...80, using: &generator)
                wheel.enter(one, in: seconds)
                table[one.name] = now + min(max(seconds, 1), 63)
            case 5..<7:
                wheel.leave(one)
                table[one.name] = nil
            default:
                now += 1
                let due = table.filter { $0.value == now }.keys.sorted()
                #expect(names(wheel.advance()) == due)
                for name in due { table[name] = nil }
            }
            #expect((one.wheelPlace != nil) == (table[one.name] != nil))
        }
    }
}
