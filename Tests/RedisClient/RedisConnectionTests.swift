import NIOCore
import NIOEmbedded
import NIOPosix
import TestSupport
import Testing

@testable import RedisClient

/// One connection over a channel without sockets.
struct RedisConnectionTests {
    private struct House {
        let channel: EmbeddedChannel
        let connection: RedisConnection

        init(_ change: (inout RedisConfiguration) -> Void = { _ in }) throws {
            let loop = EmbeddedEventLoop()
            connection = RedisConnection(
                try .test("redis://host", change), to: try RedisAddress("redis://host"), eventLoop: loop)
            channel = EmbeddedChannel(handler: ChannelWire(connection), loop: loop)
        }

        /// What the connection has written since the last call, one string per write.
        func written() throws -> [String] {
            channel.embeddedEventLoop.run()
            var writes: [String] = []
            while let write = try channel.readOutbound(as: ByteBuffer.self) { writes.append(String(buffer: write)) }
            return writes
        }

        func receive(_ text: String) throws { try channel.writeInbound(ByteBuffer(string: text)) }
    }

    private final class Answers {
        var texts: [String] = []
        func take(_ reply: RedisConnection.Reply) {
            switch reply {
            case .success(let value): texts.append(value.text ?? "\(value)")
            case .failure(let error):
                texts.append(
                    "\(error.code == .timeout ? "lost" : error.code == .server ? "server" : "failed"): \(error.message)"
                )
            }
        }
    }

    @Test func `Commands of one turn of the loop leave in one write`() throws {
        let house = try House()
        for name in ["A", "B", "C"] { house.connection.send(RedisCommand(name)) { _ in } }
        #expect(try house.written() == ["*1\r\n$1\r\nA\r\n*1\r\n$1\r\nB\r\n*1\r\n$1\r\nC\r\n"])
        house.connection.send(RedisCommand("D")) { _ in }
        #expect(try house.written() == ["*1\r\n$1\r\nD\r\n"])
        #expect(house.connection.waiting == 4)
    }

    @Test func `Replies answer in order, and a server's error is an answer`() throws {
        let house = try House(), answers = Answers()
        for _ in 0..<3 { house.connection.send(RedisCommand("X"), answers.take) }
        try house.receive("+one\r\n-ERR two\r\n$5\r\nth")
        #expect(answers.texts == ["one", "server: ERR two"])
        try house.receive("ree\r\n")
        #expect(answers.texts == ["one", "server: ERR two", "three"])
    }

    @Test func `A missed deadline ends the connection and everything that waits`() throws {
        let house = try House { $0.commandTimeout = .zero }
        let answers = Answers()
        var reasons: [RedisError] = []
        house.connection.onClose = { reasons.append($0) }
        house.connection.send(RedisCommand("A"), answers.take)
        house.connection.send(RedisCommand("B"), answers.take)
        house.channel.embeddedEventLoop.advanceTime(by: .milliseconds(250))
        #expect(
            answers.texts == ["lost: Redis did not answer within 0.0 s", "lost: Redis did not answer within 0.0 s"])
        #expect(reasons.map(\.code) == [.timeout])
        house.connection.send(RedisCommand("C"), answers.take)
        #expect(answers.texts.last == "failed: no connection to Redis")
    }

    @Test func `What is no RESP2 ends the connection`() throws {
        let house = try House(), answers = Answers()
        var reasons: [RedisError] = []
        house.connection.onClose = { reasons.append($0) }
        house.connection.send(RedisCommand("A"), answers.take)
        try house.receive("HTTP/1.1 400 Bad Request\r\n\r\n")
        house.channel.embeddedEventLoop.run()
        #expect(reasons.map(\.code) == [.protocolViolation])
        #expect(answers.texts.count == 1)
        #expect(
            answers.texts.first?.hasPrefix("lost: the answer was lost: Redis sent something that is not RESP2") == true)
    }

    @Test(arguments: [
        ("-ERR max number of clients reached\r\n", "ERR max number of clients reached"),
        ("+hello\r\n", "a reply that nothing asked for"),
    ])
    func `A reply that nothing asked for ends the connection with its words`(reply: String, words: String) throws {
        let house = try House()
        var reasons: [RedisError] = []
        house.connection.onClose = { reasons.append($0) }
        try house.receive(reply)
        house.channel.embeddedEventLoop.run()
        #expect(reasons == [RedisError(.server, words)])
    }

    @Test func `Pushes do not answer commands`() throws {
        let house = try House(), answers = Answers()
        var pushed = 0, reads = 0
        house.connection.onPush = { view in
            pushed += view.count == 4 ? 1 : 0
            return view.count == 4
        }
        house.connection.onReadComplete = { reads += 1 }
        house.connection.send(RedisCommand("PING"), answers.take)
        try house.receive("*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n*2\r\n$4\r\npong\r\n$0\r\n\r\n")
        #expect(pushed == 1)
        #expect(reads == 1)
        #expect(answers.texts.count == 1)
    }

    @Test func `A connection that was closed answers nothing more`() throws {
        let house = try House(), answers = Answers()
        house.connection.send(RedisCommand("A"), answers.take)
        house.connection.close(RedisError(.stopped, "enough"))
        house.connection.close(RedisError(.timeout, "again"))
        house.channel.embeddedEventLoop.run()
        #expect(answers.texts == ["lost: the answer was lost: enough"])
    }

    private final class Watch {
        weak var connection: RedisConnection?
    }

    @Test func `A dial that fails leaves nothing behind`() async throws {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        // A free port could be another test's server by the time of the dial; nobody listens on this one.
        let port = 1
        let watch = try await loop.submit { NIOLoopBound(Watch(), eventLoop: loop) }.get()
        let dialled = loop.flatSubmit {
            let connection = RedisConnection(
                try! .test("redis://host"), to: try! RedisAddress("redis://host"), eventLoop: loop)
            watch.value.connection = connection
            let bound = NIOLoopBound(connection, eventLoop: loop)
            return ClientBootstrap(group: loop)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(ChannelWire(bound.value))
                    }
                }
                .connect(host: "127.0.0.1", port: port).map { _ in }
        }
        await #expect(throws: (any Error).self) { try await dialled.get() }
        try await waitUntil("the connection to be forgotten") {
            try await loop.submit { watch.value.connection == nil }.get()
        }
    }
}
