import Glibc
import NIOCore
import TestSupport
import Testing

@testable import Sockets

/// What is sent and what stays queued, for any answers of the kernel.
struct WriteQueueTests {
    /// Answers each call as scripted, and records the bytes it took.
    private final class Kernel: ByteSink {
        var answers: [Int]
        private(set) var taken: [UInt8] = []
        private(set) var calls = 0

        init(_ answers: [Int]) { self.answers = answers }

        private func take(_ bytes: [UInt8]) -> Int {
            calls += 1
            let answer = answers.isEmpty ? bytes.count : answers.removeFirst()
            guard answer > 0 else { return answer }
            taken += bytes.prefix(answer)
            return min(answer, bytes.count)
        }

        func send(_ bytes: UnsafeRawBufferPointer) -> Int { take(Array(bytes)) }
        func send(_ pieces: UnsafeBufferPointer<iovec>) -> Int {
            take(pieces.flatMap { Array(UnsafeRawBufferPointer(start: $0.iov_base, count: $0.iov_len)) })
        }
    }

    private func queue(_ texts: [String]) -> WriteQueue {
        var queue = WriteQueue()
        for text in texts { queue.append(ByteBuffer(string: text)) }
        return queue
    }

    @Test func `Nothing that waits is no call`() throws {
        var queue = WriteQueue()
        let kernel = Kernel([])
        #expect(try queue.send(to: kernel) == true)
        #expect(kernel.calls == 0 && queue.byteCount == 0)
    }

    @Test(arguments: [["one"], ["one", "two"], ["one", "two", "three"]])
    func `What the kernel takes at once is one call`(texts: [String]) throws {
        var queue = queue(texts)
        let kernel = Kernel([])
        #expect(try queue.send(to: kernel) == true)
        #expect(kernel.calls == 1 && kernel.taken == Array(texts.joined().utf8) && queue.byteCount == 0)
    }

    @Test(arguments: 1...12)
    func `What is taken in part goes on where it ended, in order`(size: Int) throws {
        var queue = queue(["one", "two", "three"])
        let kernel = Kernel(Array(repeating: size, count: 12))
        #expect(try queue.send(to: kernel) == true)
        #expect(kernel.taken == Array("onetwothree".utf8))
        #expect(kernel.calls == (11 + size - 1) / size)
    }

    @Test func `A full socket keeps the rest, and what comes after waits behind it`() throws {
        var queue = queue(["one", "two"])
        let kernel = Kernel([4, -Int(EAGAIN)])
        #expect(try queue.send(to: kernel) == false)
        #expect(queue.byteCount == 2)
        queue.append(ByteBuffer(string: "three"))
        #expect(try queue.send(to: kernel) == true)
        #expect(kernel.taken == Array("onetwothree".utf8))
    }

    @Test func `A call that was interrupted is made again`() throws {
        var queue = queue(["one"])
        let kernel = Kernel([-Int(EINTR), -Int(EINTR), 3])
        #expect(try queue.send(to: kernel) == true)
        #expect(kernel.calls == 3 && kernel.taken == Array("one".utf8))
    }

    @Test(arguments: [EPIPE, ECONNRESET, EBADF])
    func `Another error is the connection's end`(code: CInt) {
        var queue = queue(["one", "two"])
        let error = #expect(throws: SocketError.self) { try queue.send(to: Kernel([-Int(code)])) }
        #expect(error?.code == code)
    }

    @Test(arguments: 0..<20)
    func `Random answers: all bytes leave once, in order`(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        var queue = WriteQueue(), expected: [UInt8] = []
        let kernel = Kernel([])
        for _ in 0..<300 {
            for _ in 0..<Int.random(in: 0..<4, using: &generator) {
                let bytes = (0..<Int.random(in: 1..<90, using: &generator)).map { _ in
                    UInt8.random(in: 0...255, using: &generator)
                }
                expected += bytes
                queue.append(ByteBuffer(bytes: bytes))
            }
            kernel.answers =
                (0..<Int.random(in: 0..<4, using: &generator)).map { _ in
                    [Int.random(in: 1..<200, using: &generator), -Int(EINTR)].randomElement(using: &generator)!
                } + [-Int(EAGAIN)]
            let isEmpty = try queue.send(to: kernel)
            #expect(isEmpty == (queue.byteCount == 0))
            #expect(kernel.taken.count + queue.byteCount == expected.count)
        }
        kernel.answers = []
        #expect(try queue.send(to: kernel) == true)
        #expect(kernel.taken == expected)
    }
}
