import NIOCore
import TestSupport
import Testing

@testable import RedisClient

struct RedisCommandTests {
    private func bytes(_ command: RedisCommand) -> [UInt8] {
        var buffer = ByteBuffer()
        command.write(to: &buffer)
        return Array(buffer.readableBytesView)
    }

    private func text(_ command: RedisCommand) -> String { String(decoding: bytes(command), as: UTF8.self) }

    @Test func `A command is an array of bulk strings`() {
        #expect(text(RedisCommand("PING")) == "*1\r\n$4\r\nPING\r\n")
        #expect(text(RedisCommand("SET", "key", "välue")) == "*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$6\r\nvälue\r\n")
    }

    @Test func `Numbers are written in decimals`() {
        var command = RedisCommand("X")
        for number in [0, -1, Int.max, Int.min] { command.append(number) }
        #expect(
            text(command)
                == "*5\r\n$1\r\nX\r\n$1\r\n0\r\n$2\r\n-1\r\n$19\r\n9223372036854775807\r\n$20\r\n-9223372036854775808\r\n"
        )
    }

    @Test func `An empty argument is a bulk string of no bytes`() {
        var command = RedisCommand("", "")
        command.append(ByteBuffer())
        #expect(text(command) == "*3\r\n$0\r\n\r\n$0\r\n\r\n$0\r\n\r\n")
    }

    @Test func `A binary argument goes through byte by byte, line ends and RESP in it too`() {
        let all = (UInt8.min...UInt8.max) + Array("\r\n*1\r\n$4\r\nQUIT\r\n".utf8)
        var command = RedisCommand("SET")
        command.append(ByteBuffer(bytes: all))
        #expect(bytes(command) == Array("*2\r\n$3\r\nSET\r\n$\(all.count)\r\n".utf8) + all + Array("\r\n".utf8))
    }

    @Test(arguments: [31, 32, 33, 1000])
    func `Any number of arguments keeps its order`(count: Int) {
        var command = RedisCommand("MSET")
        var expected = "*\(count + 1)\r\n$4\r\nMSET\r\n"
        for number in 0..<count {
            command.append("k\(number)")
            expected += "$\("k\(number)".utf8.count)\r\nk\(number)\r\n"
        }
        #expect(text(command) == expected)
    }

    @Test func `An argument of a megabyte is whole`() {
        let large = ByteBuffer(repeating: 0x78, count: 1 << 20)
        var command = RedisCommand("SET", "k")
        command.append(large)
        #expect(
            bytes(command).count == "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1048576\r\n\r\n".utf8.count + large.readableBytes)
    }

    @Test func `Commands are written one behind the other`() {
        var buffer = ByteBuffer(string: "before")
        RedisCommand("A").write(to: &buffer)
        RedisCommand("B").write(to: &buffer)
        #expect(String(buffer: buffer) == "before*1\r\n$1\r\nA\r\n*1\r\n$1\r\nB\r\n")
    }

    @Test func `What is written is what hiredis reads, whatever the arguments are`() throws {
        var generator = SeededGenerator(seed: 1)
        for _ in 0..<300 {
            let arguments = (0..<Int.random(in: 1...200, using: &generator)).map { _ in
                (0..<Int.random(in: 0...(Bool.random(using: &generator) ? 20 : 300), using: &generator)).map { _ in
                    UInt8.random(in: .min ... .max, using: &generator)
                }
            }
            var command = RedisCommand("X")
            for argument in arguments { command.append(ByteBuffer(bytes: argument)) }
            let reader = RedisReplyReader(maximumBytes: 1 << 20)
            try reader.feed(ByteBuffer(bytes: bytes(command)))
            let read = try reader.next { view in
                (1..<view.count).map { index in view.withBytes(of: view[index]) { Array($0) } }
            }
            #expect(read == [Array("X".utf8)] + arguments)
            #expect(try reader.next { _ in true } == nil)
        }
    }

    @Test func `The description is the name alone: arguments may be secrets`() {
        #expect(RedisCommand("AUTH", "user", "Tr0ub4dor").description == "AUTH")
        #expect("\(RedisCommand(""))" == "")
    }
}
