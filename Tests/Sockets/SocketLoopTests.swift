import NIOCore
import Synchronization
import TestSupport
import Testing

@testable import Sockets

/// The loop used as SwiftNIO's event loops are: tasks, timers, and what happens to them at its end.
struct SocketLoopTests {
    private func run(_ body: (SocketLoop) async throws -> Void) async throws {
        let loop = SocketLoop(name: "test")
        try await body(loop)
        loop.stop()
    }

    @Test func `Tasks run on the loop, in the order in which one thread gave them`() async throws {
        try await run { loop in
            let seen = Mutex<[Int]>([])
            for number in 0..<1000 {
                loop.execute {
                    #expect(loop.inEventLoop)
                    seen.withLock { $0.append(number) }
                }
            }
            try await loop.submit {}.get()
            #expect(seen.withLock { $0 } == Array(0..<1000))
            #expect(!loop.inEventLoop)
        }
    }

    @Test func `Tasks of many threads all run, and none at the same time as another`() async throws {
        try await run { loop in
            let counter = Counter(loop)
            await withTaskGroup { group in
                for _ in 0..<8 { group.addTask { for _ in 0..<500 { loop.execute { counter.add() } } } }
            }
            let count = try await loop.submit { counter.count }.get()
            #expect(count == 4000)
        }
    }

    /// Used on its loop only.
    private final class Counter: @unchecked Sendable {
        private let loop: SocketLoop
        private(set) var count = 0
        init(_ loop: SocketLoop) { self.loop = loop }
        func add() {
            loop.preconditionInEventLoop()
            count += 1
        }
    }

    @Test func `A task's error is the future's`() async throws {
        struct Failure: Error {}
        try await run { loop in
            await #expect(throws: Failure.self) { try await loop.submit { throw Failure() }.get() }
            await #expect(throws: Failure.self) {
                try await loop.scheduleTask(in: .zero) { throw Failure() }.futureResult.get()
            }
        }
    }

    @Test func `Timers run in the order of their deadlines, whatever the order in which they were set`() async throws {
        try await run { loop in
            let seen = Mutex<[Int]>([]), now = NIODeadline.now()
            let timers = [30, 10, 20, 0, 10].map { milliseconds in
                loop.scheduleTask(deadline: now + .milliseconds(Int64(milliseconds))) {
                    seen.withLock { $0.append(milliseconds) }
                }
            }
            for timer in timers { try await timer.futureResult.get() }
            #expect(seen.withLock { $0 } == [0, 10, 10, 20, 30])
        }
    }

    @Test func `A cancelled timer does not run, and its future says so`() async throws {
        try await run { loop in
            let hasRun = Mutex(false)
            let timer = loop.scheduleTask(in: .milliseconds(20)) { hasRun.withLock { $0 = true } }
            let last = loop.scheduleTask(in: .milliseconds(40)) {}
            timer.cancel()
            let error = await #expect(throws: EventLoopError.self) { try await timer.futureResult.get() }
            #expect(error == .cancelled)
            try await last.futureResult.get()
            #expect(!hasRun.withLock { $0 })
        }
    }

    @Test func `What was asked before the end is done`() async throws {
        let loop = SocketLoop(name: "test")
        let futures = (0..<100).map { number in loop.submit { number } }
        loop.stop()
        for (number, future) in futures.enumerated() { #expect(try await future.get() == number) }
    }

    @Test func `Timers that are left when the loop ends fail`() async throws {
        let loop = SocketLoop(name: "test")
        let timer = loop.scheduleTask(in: .hours(1)) {}
        loop.stop()
        let error = await #expect(throws: EventLoopError.self) { try await timer.futureResult.get() }
        #expect(error == .shutdown)
    }

    @Test(.timeLimit(.minutes(1)))
    func `After the end tasks and timers fail, and nobody waits for ever`() async throws {
        let loop = SocketLoop(name: "test")
        let late = loop.makePromise(of: Int.self)
        loop.stop()
        try await waitUntil("the end of the loop") {
            do {
                try await loop.submit {}.get()
                return false
            } catch {
                return error as? EventLoopError == .shutdown
            }
        }
        let error = await #expect(throws: EventLoopError.self) {
            try await loop.scheduleTask(in: .zero) {}.futureResult.get()
        }
        #expect(error == .shutdown)
        // A promise of the loop held elsewhere, and a chain of futures on it.
        let chain = late.futureResult.map { $0 + 1 }.flatMap { loop.makeSucceededFuture($0 * 2) }
        late.succeed(20)
        #expect(try await chain.get() == 42)
        #expect(!loop.inEventLoop)
    }
}
