import Broker
import NIOCore
import TestSupport
import Testing

@testable import Gateway

/// Inflation: foreign compressors, corrupt and endless input, and that no message affects the next.
struct MessageInflaterTests {
    private static func bytes(_ digits: String) -> [UInt8] {
        let digits = Array(digits.utf8).map { UInt8($0 > 0x60 ? $0 - 0x57 : $0 - 0x30) }
        return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
    }

    private func read(_ payload: [UInt8], maximum: Int = 65_536, isText: Bool = false) -> FrameParser.Event {
        MessageInflater(maximumMessageBytes: maximum).message(ByteBuffer(bytes: payload), isText: isText)
    }

    private func code(_ event: FrameParser.Event) -> CloseCode? {
        if case .violation(let code, _) = event { code } else { nil }
    }

    /// RFC 7692 section 7.2.3.
    @Test(arguments: [
        "f248cdc9c90700", "f348cdc9c9070000", "000500faff48656c6c6f00", "f248050000 00ffffcac9c90700",
    ])
    func `The examples of the RFC are read`(digits: String) {
        let payload = Self.bytes(digits.replacing(" ", with: ""))
        #expect(read(payload, isText: true) == .text(ByteBuffer(string: "Hello")))
        #expect(read(payload) == .binary(ByteBuffer(string: "Hello")))
    }

    @Test(arguments: DeflateVectors.all.indices)
    func `What Python's zlib compresses is read, in whatever blocks`(index: Int) {
        let (message, name, compressed) = DeflateVectors.all[index]
        let inflater = MessageInflater(maximumMessageBytes: message.utf8.count / 2)
        for (way, payload) in compressed {
            let read = inflater.message(ByteBuffer(bytes: Self.bytes(payload)), isText: false)
            #expect(read == .binary(ByteBuffer(bytes: Self.bytes(message))), "\(name), \(way)")
        }
    }

    @Test func `An empty message is read, written as RFC 7692 wants it and as nothing at all`() {
        #expect(read([0x00], isText: true) == .text(ByteBuffer()))
        #expect(read([], isText: true) == .text(ByteBuffer()))
        #expect(read([0x03, 0x00]) == .binary(ByteBuffer()))
        #expect(read([0x00], maximum: 0) == .binary(ByteBuffer()))
    }

    @Test func `A last block may end the message with and without the empty block behind it`() {
        let hello: [UInt8] = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]
        #expect(read(hello) == .binary(ByteBuffer(string: "Hello")))
        #expect(read(hello + [0x00]) == .binary(ByteBuffer(string: "Hello")))
        // A second stream after it is more of the message.
        #expect(read(hello + hello + [0x00]) == .binary(ByteBuffer(string: "HelloHello")))
        // An empty stored block marked as the last one.
        #expect(read([0x01]) == .binary(ByteBuffer()))
    }

    @Test func `What is no DEFLATE is 1007`() {
        for payload in [[0xFF], [0x07], [0x06], [0xFF, 0xFF, 0xFF, 0xFF], Array("not compressed".utf8)] as [[UInt8]] {
            #expect(code(read(payload)) == .invalidData, "\(payload)")
        }
        // A stored block whose length and its complement differ.
        #expect(code(read([0x00, 0x05, 0x00, 0xfa, 0xfe, 0x48])) == .invalidData)
        // A distance that reaches before the start of the message.
        let inflater = MessageInflater(maximumMessageBytes: 100)
        _ = inflater.message(ByteBuffer(bytes: Self.bytes("f248cdc9c90700")), isText: false)
        #expect(code(inflater.message(ByteBuffer(bytes: [0x02, 0x02, 0x00]), isText: false)) == .invalidData)
        // Bytes after the end.
        #expect(code(read([0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0xFF, 0xFF])) == .invalidData)
    }

    /// The four bytes that every sender omits are appended to whatever arrived: a cut between two blocks cannot be distinguished
    /// from an end, and a cut inside one rarely looks like it.
    @Test func `A message that is cut off is 1007, wherever it is cut`() {
        let inflater = MessageInflater(maximumMessageBytes: 65_536)
        var refused = 0, beginnings = 0, garbled = 0
        for (message, _, compressed) in DeflateVectors.all where !message.isEmpty {
            let message = Self.bytes(message)
            for payload in compressed.map({ Self.bytes($0.payload) }) {
                for length in 1..<payload.count {
                    switch inflater.message(ByteBuffer(bytes: payload.prefix(length)), isText: false) {
                    case .violation(.invalidData, _): refused += 1
                    case .binary(let part) where message.starts(with: part.readableBytesView): beginnings += 1
                    default: garbled += 1
                    }
                }
            }
        }
        #expect(refused > 2000 && beginnings < 100 && garbled < 20, "\(refused), \(beginnings), \(garbled)")
    }

    @Test func `A message is inflated to its bound and not a byte further`() {
        for count in [1, 2, 1000, 4095, 4096, 65_535, 65_536] {
            let payload = Zlib.compress([UInt8](repeating: 0x61, count: count))
            #expect(read(payload, maximum: count) == .binary(ByteBuffer(repeating: 0x61, count: count)))
            #expect(code(read(payload, maximum: count - 1)) == .tooBig)
            #expect(code(read(payload, maximum: 0)) == .tooBig)
        }
    }

    @Test func `A bomb of a hundred megabytes costs its bound`() {
        var bomb = ByteBuffer()
        DeflateStream(level: 9, windowBits: 15).compress(ByteBuffer(repeating: 0, count: 100 << 20), into: &bomb)
        #expect(bomb.readableBytes < 110_000)
        let inflater = MessageInflater(maximumMessageBytes: 65_536)
        let start = ContinuousClock.now
        for _ in 0..<100 { #expect(code(inflater.message(bomb, isText: true)) == .tooBig) }
        #expect(ContinuousClock.now - start < .seconds(5), "a hundred bombs took \(ContinuousClock.now - start)")
        // Endless empty blocks: many bytes without content.
        let empty = ByteBuffer(bytes: (0..<13_000).flatMap { _ in [0x00, 0x00, 0x00, 0xFF, 0xFF] as [UInt8] } + [0x00])
        #expect(inflater.message(empty, isText: true) == .text(ByteBuffer()))
        let finals = ByteBuffer(bytes: (0..<32_000).flatMap { _ in [0x03, 0x00] as [UInt8] } + [0x00])
        #expect(inflater.message(finals, isText: true) == .text(ByteBuffer()))
    }

    @Test func `Text is checked behind the compression, binary data is not`() {
        for bad in [[0xFF], [0xC3], [0xED, 0xA0, 0x80], Array("ok".utf8) + [0xE2, 0x82]] as [[UInt8]] {
            #expect(code(read(Zlib.compress(bad), isText: true)) == .invalidData)
            #expect(read(Zlib.compress(bad)) == .binary(ByteBuffer(bytes: bad)))
        }
        // Bytes on the wire that look like bad UTF-8 are fine.
        let text = String(repeating: "aë€𝄞", count: 50)
        #expect(read(Zlib.compress(Array(text.utf8)), isText: true) == .text(ByteBuffer(string: text)))
    }

    @Test func `A message that failed leaves nothing for the next one`() {
        let inflater = MessageInflater(maximumMessageBytes: 1000)
        let good = Zlib.compress(Array("after".utf8))
        for bad in [[0xFF], [0xf2, 0x48, 0xcd], Zlib.compress([UInt8](repeating: 1, count: 5000)), [0x01]] as [[UInt8]]
        {
            _ = inflater.message(ByteBuffer(bytes: bad), isText: false)
            #expect(inflater.message(ByteBuffer(bytes: good), isText: true) == .text(ByteBuffer(string: "after")))
        }
    }

    @Test(arguments: 0..<20)
    func `Nearly right input never crashes, never exceeds the bound, and means the same twice`(block: UInt64) {
        let inflater = MessageInflater(maximumMessageBytes: 2000)
        var refused = 0, read = 0
        for seed in block * 500..<(block + 1) * 500 {
            var generator = SeededGenerator(seed: seed)
            let vector = DeflateVectors.all.randomElement(using: &generator)!
            var payload = Self.bytes(vector.compressed.randomElement(using: &generator)!.payload)
            for _ in 0..<Int.random(in: 1...3, using: &generator) where !payload.isEmpty {
                let at = Int.random(in: 0..<payload.count, using: &generator)
                switch Int.random(in: 0..<5, using: &generator) {
                case 0: payload[at] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
                case 1: payload[at] = UInt8.random(in: 0...255, using: &generator)
                case 2: payload.remove(at: at)
                case 3: payload.insert(contentsOf: payload[at...].prefix(20), at: at)
                default: payload.removeSubrange(at...)
                }
            }
            let event = inflater.message(ByteBuffer(bytes: payload), isText: false)
            #expect(event == self.read(payload, maximum: 2000), "seed \(seed)")
            switch event {
            case .binary(let message):
                read += 1
                #expect(message.readableBytes <= 2000, "seed \(seed)")
            case .violation(let code, _):
                refused += 1
                #expect(code == .invalidData || code == .tooBig, "seed \(seed)")
            default: Issue.record("seed \(seed): \(event)")
            }
        }
        #expect(read > 20 && refused > 20, "the fuzz must see both: \(read), \(refused)")
    }
}

/// The sender's side: a payload as RFC 7692 section 7.2.1 specifies.
enum Zlib {
    static func compress(_ message: [UInt8], level: Int = 6, windowBits: Int = 15) -> [UInt8] {
        var output = ByteBuffer()
        DeflateStream(level: level, windowBits: windowBits).compress(ByteBuffer(bytes: message), into: &output)
        return Array(output.readableBytesView.dropLast(4))
    }
}
