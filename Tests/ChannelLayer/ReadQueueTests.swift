import Broker
import TestSupport
import Testing

@testable import ChannelLayer

/// A script for the queue: `a:1` reader 1 asks for a, `a!1` the live feed does, `call`, the call's answers (`page`, `end`,
/// `later`; one for all its reads, or one for each, separated by commas), `fail`, `-1` reader 1 gives up.
private struct Script {
    private var queue = ReadQueue<Int, Int>()
    /// The result of each step.
    private(set) var trace: [String] = []
    private var underWay: [String] = []

    mutating func run(_ steps: String) { for step in steps.split(separator: " ") { run(step: String(step)) } }

    private mutating func run(step: String) {
        if let mark = step.firstIndex(where: { $0 == ":" || $0 == "!" }) {
            let place = ReadPlace(group: try! GroupName(String(step[..<mark])), since: .beginning)
            let asker = Int(step[step.index(after: mark)...])!
            queue.ask(place, bytes: 1, in: step[mark] == "!" ? .feed : .cursors, asker, asker)
        } else if step == "call" {
            let reads = queue.nextCall()?.reads.map(\.place.group.text)
            if let reads { underWay = reads }
            trace.append(reads.map { "read \($0.joined(separator: " "))" } ?? "no call")
        } else if step == "fail" {
            trace.append("failed \(Self.list(queue.failed()))")
        } else if step.hasPrefix("-") {
            trace.append("gone \(Self.list(queue.giveUp(Int(step.dropFirst())!)))")
        } else {
            var answers = step.split(separator: ",").map { word -> ReadQueue<Int, Int>.Answer in
                switch word {
                case "page": .page
                case "end": .end
                default: .later
                }
            }
            if answers.count == 1 { answers = underWay.map { _ in answers[0] } }
            trace.append("told \(queue.answered(answers).map(Self.list).joined(separator: ", "))")
        }
    }

    /// Reads everything that is left.
    mutating func drain() -> String {
        trace = []
        while queue.isUnderWay || queue.waiting > 0 { run(queue.isUnderWay ? "page" : "call") }
        return trace.joined(separator: "; ")
    }

    private static func list(_ numbers: [Int]) -> String {
        numbers.isEmpty ? "nobody" : numbers.map(String.init).joined(separator: " ")
    }
}

struct ReadQueueTests {
    private static let empty = "", waiting = "a:1", underWay = "a:1 call", late = "a:1 call a:2"
    private static let abandoned = "a:1 call -1"

    /// State, event, result of the event, and what happens afterwards.
    private static let table = [
        (empty, "a:1", "", "read a; told 1"), (empty, "call", "no call", ""), (empty, "page", "told ", ""),
        (empty, "end", "told ", ""), (empty, "later", "told ", ""), (empty, "fail", "failed nobody", ""),
        (empty, "-1", "gone nobody", ""),

        (waiting, "a:2", "", "read a; told 1 2"), (waiting, "b:2", "", "read a b; told 1, 2"),
        (waiting, "call", "read a", "told 1"), (waiting, "page", "told ", "read a; told 1"),
        (waiting, "end", "told ", "read a; told 1"), (waiting, "later", "told ", "read a; told 1"),
        (waiting, "fail", "failed nobody", "read a; told 1"), (waiting, "-1", "gone 1", ""),
        (waiting, "-2", "gone nobody", "read a; told 1"),

        (underWay, "a:2", "", "told 1 2"), (underWay, "b:2", "", "told 1; read b; told 2"),
        (underWay, "call", "no call", "told 1"), (underWay, "page", "told 1", ""), (underWay, "end", "told 1", ""),
        (underWay, "later", "told nobody", "read a; told 1"), (underWay, "fail", "failed 1", ""),
        (underWay, "-1", "gone 1", "told nobody"), (underWay, "-2", "gone nobody", "told 1"),

        (late, "a:3", "", "told 1 2 3"), (late, "b:3", "", "told 1 2; read b; told 3"),
        (late, "call", "no call", "told 1 2"), (late, "page", "told 1 2", ""),
        (late, "end", "told 1", "read a; told 2"), (late, "later", "told nobody", "read a; told 1 2"),
        (late, "fail", "failed 1 2", ""), (late, "-1", "gone 1", "told 2"), (late, "-2", "gone 2", "told 1"),

        (abandoned, "a:2", "", "told 2"), (abandoned, "b:2", "", "told nobody; read b; told 2"),
        (abandoned, "call", "no call", "told nobody"), (abandoned, "page", "told nobody", ""),
        (abandoned, "end", "told nobody", ""), (abandoned, "later", "told nobody", ""),
        (abandoned, "fail", "failed nobody", ""), (abandoned, "-1", "gone nobody", "told nobody"),
    ]

    @Test(arguments: table.indices) func `Each event in each state`(row: Int) {
        let (state, event, says, then) = Self.table[row]
        var script = Script()
        script.run(state)
        let before = script.trace.count
        script.run(event)
        #expect(script.trace.dropFirst(before).joined(separator: "; ") == says, "\(event) in \(state)")
        #expect(script.drain() == then, "after \(event) in \(state)")
    }

    private func trace(_ steps: String) -> String {
        var script = Script()
        script.run(steps)
        return script.trace.joined(separator: "; ")
    }

    @Test func `Who asked while a page to the log's end was under way is answered by a later call`() {
        #expect(trace("a:1 call a:2 end call a:3 end call end") == "read a; told 1; read a; told 2; read a; told 3")
    }

    @Test func `The live feed goes first, and a cursor after each of its calls`() {
        #expect(
            trace("a:1 b:2 c!3 call later d!4 call page call page call")
                == "read c; told nobody; read a b; told 1, 2; read c d; told 3, 4; no call")
    }

    @Test func `While cursors rest only the feed reads`() {
        var queue = ReadQueue<Int, Int>()
        func ask(_ group: String, in lane: ReadLane) {
            queue.ask(ReadPlace(group: try! GroupName(group), since: nil), bytes: 1, in: lane, 1, 1)
        }
        ask("a", in: .cursors)
        #expect(queue.nextCall(cursorsRest: true)?.reads == nil)
        for _ in 0..<2 {
            ask("b", in: .feed)
            #expect(queue.nextCall(cursorsRest: true)?.lane == .feed)
            _ = queue.answered([.end])
        }
        ask("b", in: .feed)
        #expect(queue.nextCall()?.lane == .cursors)
    }

    @Test func `The same place in both lanes is two reads`() {
        #expect(trace("a:1 a!2 call a:3 end call page") == "read a; told 2; read a; told 1 3")
    }

    @Test func `What found no room is next, in its order, before what came meanwhile`() {
        #expect(
            trace("a:1 b:2 c:3 call d:4 page,later,later call page call")
                == "read a b c; told 1, nobody, nobody; read b c d; told 2, 3, 4; no call")
    }

    @Test func `A call has as many reads as found room before, and more again when all do`() {
        var queue = ReadQueue<Int, Int>()
        func ask(_ numbers: Range<Int>) {
            for number in numbers {
                let place = ReadPlace(group: try! GroupName("g\(number)"), since: nil)
                queue.ask(place, bytes: 1, in: .cursors, number, number)
            }
        }
        ask(0..<1000)
        func call(full: Int = 0) -> Int {
            let count = queue.nextCall()?.reads.count ?? 0
            _ = queue.answered((0..<count).map { $0 < count - full ? .end : .later })
            return count
        }
        #expect(call(full: 250) == 256)
        #expect(call(full: 5) == 6)
        #expect([call(), call(), call(), call(), call()] == [4, 16, 64, 256, 256])
    }

    @Test func `Groups take turns: forty cursors of one cost another's only reader one turn`() {
        var queue = ReadQueue<Int, Int>()
        func ask(_ group: String, _ offset: Int) {
            let since = Position(epoch: "e", history: "a", offset: UInt64(offset))
            queue.ask(ReadPlace(group: try! GroupName(group), since: since), bytes: 1, in: .cursors, offset, offset)
        }
        for offset in 1...40 { ask("heavy", offset) }
        // One read finds room in each call.
        for _ in 0..<3 {
            let count = queue.nextCall()!.reads.count
            _ = queue.answered((0..<count).map { $0 == 0 ? .page : .later })
        }
        ask("light", 99)
        var told: [Int] = []
        for _ in 0..<2 {
            let reads = queue.nextCall()!.reads
            let room = reads.first?.place.group.text == "light" ? 2 : 1
            told += queue.answered(reads.indices.map { $0 < room ? .page : .later }).flatMap { $0 }
        }
        #expect(told.contains(99))
    }

    @Test func `A shared read asks for as much as the largest room`() {
        var queue = ReadQueue<Int, Int>()
        let place = ReadPlace(group: try! GroupName("a"), since: nil)
        for (asker, bytes) in [(1, 10), (2, 30), (3, 20)] { queue.ask(place, bytes: bytes, in: .cursors, asker, asker) }
        #expect(queue.nextCall()?.reads == [.init(place: place, bytes: 30)])
    }
}
