import NIOCore
import Testing

@testable import RedisClient

struct RedisReplyFuzzTests {
    @Test(arguments: 0..<10)
    func `Random replies are read as they were written, however they are cut`(block: UInt64) {
        for seed in block * 200..<(block + 1) * 200 {
            var maker = ReplyMaker(seed: seed)
            let replies = (0..<Int.random(in: 1...5, using: &maker.generator)).map { _ in maker.reply() }
            let bytes = replies.flatMap(ReplyMaker.wire)
            for piece in [Int.max, 1, Int.random(in: 2...50, using: &maker.generator)] {
                let parsed = Parsed(bytes, piece: piece)
                #expect(parsed.replies == replies, "seed \(seed), piece \(piece)")
                #expect(!parsed.failed, "seed \(seed), piece \(piece)")
            }
        }
    }

    @Test(arguments: 0..<20)
    func `Mutated replies never crash the reader, and byte by byte they mean the same as whole`(block: UInt64) {
        for seed in block * 1000..<(block + 1) * 1000 {
            var maker = ReplyMaker(seed: 1_000_000 + seed)
            let bytes = maker.mutated(ReplyMaker.wire(maker.reply()) + ReplyMaker.wire(maker.reply()))
            let whole = Parsed(bytes), dripped = Parsed(bytes, piece: 1)
            #expect(whole == dripped, "seed \(seed)")
        }
    }
}

struct RedisValueTests {
    @Test func `A number is read from an integer and from its text`() {
        #expect(RedisValue.integer(-5).int == -5)
        #expect(RedisValue.string(ByteBuffer(string: "17")).int == 17)
        #expect(RedisValue.string(ByteBuffer(string: "x")).int == nil)
        #expect(RedisValue.status("1").int == nil)
        #expect(RedisValue.null.int == nil)
    }

    @Test func `A text is read from what has one`() {
        #expect(RedisValue.integer(-5).text == "-5")
        #expect(RedisValue.string(ByteBuffer(string: "a")).text == "a")
        #expect(RedisValue.status("OK").text == "OK")
        #expect(RedisValue.error("ERR").text == nil)
        #expect(RedisValue.null.text == nil)
        #expect(RedisValue.array([]).text == nil)
    }

    @Test func `Pairs are read two by two, and half a pair is left out`() {
        func string(_ text: String) -> RedisValue { .string(ByteBuffer(string: text)) }
        func pairs(_ values: RedisValue...) -> [String] { RedisValue.array(values).pairs.map { "\($0.0)=\($0.1)" } }
        #expect(pairs(string("a"), string("1"), string("b"), .integer(2)) == ["a=1", "b=2"])
        #expect(pairs(string("a"), string("1"), string("b")) == ["a=1"])
        #expect(pairs(string("a")) == [])
        #expect(pairs() == [])
        #expect(RedisValue.null.pairs.isEmpty)
    }
}

struct RedisErrorTests {
    @Test func `The kind of a server's error is its first word`() {
        #expect(RedisError(.server, "WRONGTYPE Operation against a key").kind == "WRONGTYPE")
        #expect(RedisError(.server, "ERR").kind == "ERR")
        #expect(RedisError(.server, "").kind == "")
        #expect(RedisError(.timeout, "Redis did not answer").kind == "")
        #expect(RedisError(.server, "LOADING x").description == "Redis answered: LOADING x")
    }
}
