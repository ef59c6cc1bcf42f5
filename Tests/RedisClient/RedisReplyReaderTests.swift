import NIOCore
import Testing

@testable import RedisClient

struct RedisReplyReaderTests {
    private static let replies: [(String, RedisValue)] = [
        ("+OK\r\n", .status("OK")),
        ("+\r\n", .status("")),
        ("-ERR no such thing\r\n", .error("ERR no such thing")),
        (":0\r\n", .integer(0)),
        (":-9223372036854775808\r\n", .integer(.min)),
        (":9223372036854775807\r\n", .integer(.max)),
        ("$0\r\n\r\n", .string(ByteBuffer())),
        ("$6\r\nfo\r\nob\r\n", .string(ByteBuffer(string: "fo\r\nob"))),
        ("$-1\r\n", .null),
        ("*-1\r\n", .null),
        ("*0\r\n", .array([])),
        ("*2\r\n$1\r\na\r\n:5\r\n", .array([.string(ByteBuffer(string: "a")), .integer(5)])),
        ("*3\r\n$-1\r\n*-1\r\n*0\r\n", .array([.null, .null, .array([])])),
        ("*2\r\n-WRONGTYPE x\r\n+OK\r\n", .array([.error("WRONGTYPE x"), .status("OK")])),
        (
            "*2\r\n*2\r\n:1\r\n*1\r\n+a\r\n*1\r\n$1\r\nb\r\n",
            .array([.array([.integer(1), .array([.status("a")])]), .array([.string(ByteBuffer(string: "b"))])])
        ),
    ]

    @Test(arguments: replies.indices)
    func `Every type of RESP2 is read, whole and byte by byte`(index: Int) {
        let (text, value) = Self.replies[index]
        for piece in [Int.max, 1, 2, 3] {
            let parsed = Parsed(text, piece: piece)
            #expect(parsed.replies == [value])
            #expect(!parsed.failed)
        }
    }

    @Test(arguments: [Int.max, 1, 7])
    func `Replies one behind the other are given one by one`(piece: Int) {
        let all = Self.replies.map(\.0).joined()
        let parsed = Parsed(all + "$10\r\nnot ", piece: piece)
        #expect(parsed.replies == Self.replies.map(\.1))
        #expect(!parsed.failed, "half a reply is no error")
    }

    @Test(arguments: replies.indices)
    func `What is cut short is waited for`(index: Int) {
        let text = Self.replies[index].0
        for count in 0..<text.utf8.count {
            #expect(Parsed(Array(text.utf8.prefix(count))) == Parsed(""))
        }
    }

    @Test func `A binary string keeps every byte`() {
        let all = Array(UInt8.min...UInt8.max)
        #expect(Parsed(Array("$256\r\n".utf8) + all + Array("\r\n".utf8)).replies == [.string(ByteBuffer(bytes: all))])
    }

    @Test func `Arrays are read eight deep, and refused when they are deeper`() {
        func nested(_ depth: Int) -> String { String(repeating: "*1\r\n", count: depth) + ":7\r\n" }
        var value = RedisValue.integer(7)
        for _ in 0..<8 { value = .array([value]) }
        #expect(Parsed(nested(8)).replies == [value])
        for depth in [9, 10, 20, 100_000] {
            #expect(Parsed(nested(depth)).failed)
            #expect(Parsed(nested(depth)).replies.isEmpty)
        }
    }

    @Test(arguments: [
        "%1\r\n+a\r\n:1\r\n", "~1\r\n:1\r\n", ">2\r\n+message\r\n+a\r\n", "#t\r\n", ",3.14\r\n",
        "(12345678901234567890\r\n",
        "=7\r\ntxt:abc\r\n", "|1\r\n+a\r\n+b\r\n:1\r\n", "!3\r\nERR\r\n", "*1\r\n%1\r\n+a\r\n:1\r\n", "*1\r\n#t\r\n",
    ])
    func `RESP3 is refused: it was never asked for`(text: String) {
        #expect(Parsed(text).failed)
        #expect(Parsed(text, piece: 1).failed)
        #expect(Parsed(text).replies.isEmpty)
    }

    @Test(arguments: [
        "HTTP/1.1 400 Bad Request\r\n\r\n", "\0\0\0\0", "\r\n", " +OK\r\n", "$abc\r\n", "$-2\r\n", "*-2\r\n", "*x\r\n",
        ":\r\n",
        ":12a\r\n", ":99999999999999999999\r\n", "$99999999999999999999\r\n", "*1\r\nx\r\n",
    ])
    func `Garbage is refused, and the reader stays refused`(text: String) throws {
        #expect(Parsed(text).failed)
        #expect(Parsed(text, piece: 1).failed)
        let reader = RedisReplyReader(maximumBytes: 100)
        try? reader.feed(ByteBuffer(string: text))
        for _ in 0..<3 {
            let error = #expect(throws: RedisError.self) {
                while try reader.next({ RedisValue($0) }) != nil {}
            }
            #expect(error?.code == .protocolViolation)
        }
        #expect(throws: RedisError.self) {
            try reader.feed(ByteBuffer(string: "+OK\r\n"))
            _ = try reader.next({ RedisValue($0) })
        }
    }

    @Test func `A reply whose strings are longer than the maximum is refused, one at the maximum is not`() {
        func parsed(_ text: String) -> Parsed { Parsed(Array(text.utf8), maximumBytes: 10) }
        #expect(parsed("$10\r\n0123456789\r\n").replies.count == 1)
        #expect(parsed("$11\r\n0123456789a\r\n").failed)
        #expect(parsed("*2\r\n$6\r\n012345\r\n+6789\r\n").replies.count == 1)
        #expect(parsed("*2\r\n$6\r\n012345\r\n+67890\r\n").failed)
        #expect(
            parsed("$10\r\n0123456789\r\n$10\r\n0123456789\r\n").replies.count == 2, "the maximum is for each reply")
    }

    @Test func `A huge reply between small ones leaves them whole`() {
        let large = String(repeating: "x", count: 3 << 20)
        let text = "$1\r\na\r\n$\(large.count)\r\n\(large)\r\n$1\r\nb\r\n"
        let parsed = Parsed(Array(text.utf8), piece: 65536, maximumBytes: 4 << 20)
        #expect(parsed.replies.map(\.text) == ["a", large, "b"])
    }

    @Test func `An empty feed is nothing`() throws {
        let reader = RedisReplyReader(maximumBytes: 10)
        try reader.feed(ByteBuffer())
        #expect(try reader.next({ RedisValue($0) }) == nil)
    }

    @Test func `A view has no bytes for what is no string`() throws {
        let reader = RedisReplyReader(maximumBytes: 10)
        try reader.feed(ByteBuffer(string: "*3\r\n:100000\r\n*2\r\n:1\r\n:2\r\n$-1\r\n"))
        _ = try reader.next { view in
            for index in 0..<view.count {
                #expect(view.withBytes(of: view[index]) { $0.count } == 0)
                #expect(view.text(view[index]) == "")
                #expect(view.bytes(view[index], in: view.copyBytes()).readableBytes == 0)
            }
        }
    }
}
