import NIOCore
import TestSupport
import Testing

@testable import RedisClient

struct CommandQueueTests {
    private let later = NIODeadline.uptimeNanoseconds(1_000)

    private func queue(_ names: String..., limit: Int = 10) -> CommandQueue<String> {
        var queue = CommandQueue<String>(limit: limit)
        for name in names { #expect(Self.isWrite(queue.send(name, deadline: later))) }
        return queue
    }

    private static func isWrite(_ action: CommandQueue<String>.SendAction) -> Bool {
        if case .write = action { true } else { false }
    }

    private static func failure(_ action: CommandQueue<String>.SendAction) -> RedisError.Code? {
        if case .fail(let error) = action { error.code } else { nil }
    }

    private static func completed(_ action: CommandQueue<String>.ReplyAction) -> String? {
        if case .complete(let name) = action { name } else { nil }
    }

    @Test func `Replies complete the commands in the order they were sent`() {
        var queue = queue("first", "second", "third")
        #expect(queue.count == 3)
        #expect(Self.completed(queue.reply()) == "first")
        #expect(Self.completed(queue.reply()) == "second")
        #expect(Self.completed(queue.reply()) == "third")
        #expect(queue.count == 0)
    }

    @Test func `A reply that nothing waits for is unasked, open and closed`() {
        var open = queue()
        #expect(Self.completed(open.reply()) == nil)
        var closed = queue()
        _ = closed.close()
        #expect(Self.completed(closed.reply()) == nil)
    }

    @Test func `A send beyond the limit fails and takes no place`() {
        var queue = queue("first", "second", limit: 2)
        #expect(Self.failure(queue.send("third", deadline: later)) == .overloaded)
        #expect(queue.count == 2)
        #expect(Self.completed(queue.reply()) == "first")
        #expect(Self.isWrite(queue.send("third", deadline: later)))
        #expect(Self.completed(queue.reply()) == "second")
        #expect(Self.completed(queue.reply()) == "third")
    }

    @Test func `Only the deadline of the oldest counts, and the moment itself is too late`() {
        var queue = CommandQueue<String>(limit: 10)
        #expect(queue.tick(now: .distantFuture) == .nothing)
        _ = queue.send("patient", deadline: .uptimeNanoseconds(500))
        _ = queue.send("hasty", deadline: .uptimeNanoseconds(100))
        #expect(queue.tick(now: .uptimeNanoseconds(499)) == .nothing)
        #expect(queue.tick(now: .uptimeNanoseconds(500)) == .close)
        _ = queue.reply()
        #expect(queue.tick(now: .uptimeNanoseconds(99)) == .nothing)
        #expect(queue.tick(now: .uptimeNanoseconds(100)) == .close)
    }

    @Test func `Closing gives back what waits, oldest first, and once`() {
        var queue = queue("first", "second")
        #expect(queue.close() == ["first", "second"])
        #expect(queue.close() == [])
        #expect(queue.count == 0)
        #expect(queue.tick(now: .distantFuture) == .nothing)
    }

    @Test func `A closed queue refuses at once, also when it was full`() {
        var queue = queue("first", limit: 1)
        _ = queue.close()
        #expect(Self.failure(queue.send("second", deadline: later)) == .unavailable)
        #expect(queue.count == 0)
    }

    @Test(arguments: 0..<50)
    func `Random events: every command is written, refused or given back, once and in order`(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var queue = CommandQueue<Int>(limit: 5)
        var waiting: [Int] = []
        var isClosed = false
        for number in 0..<400 {
            switch Int.random(in: 0..<20, using: &generator) {
            case 0..<10:
                switch queue.send(number, deadline: later) {
                case .write:
                    waiting.append(number)
                    #expect(!isClosed && waiting.count <= 5)
                case .fail(let error):
                    #expect(error.code == (isClosed ? .unavailable : .overloaded))
                    #expect(isClosed || waiting.count == 5)
                }
            case 10..<18:
                switch queue.reply() {
                case .complete(let name): #expect(name == waiting.removeFirst())
                case .unasked: #expect(waiting.isEmpty)
                }
            case 18:
                #expect(queue.tick(now: .distantFuture) == (waiting.isEmpty ? .nothing : .close))
            default:
                if number > 300 {
                    #expect(queue.close() == waiting)
                    waiting = []
                    isClosed = true
                }
            }
            #expect(queue.count == waiting.count)
        }
    }
}
