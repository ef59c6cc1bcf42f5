import NIOCore
import TestSupport
import Testing

@testable import Gateway

struct FrameFuzzTests {
    private static func frame(_ generator: inout SeededGenerator) -> FrameMaker {
        let opcode: UInt8 = [0, 0, 0, 1, 1, 1, 2, 8, 9, 0xA].randomElement(using: &generator)!
        let count = [0, 1, 5, 125, 126, 300].randomElement(using: &generator)!
        let characters = Array("aë€𝄞".utf8)
        var frame = FrameMaker(opcode: opcode, payload: (0..<count).map { characters[$0 % characters.count] })
        if opcode >= 8 { frame.payload = Array(frame.payload.prefix(opcode == 8 ? 0 : 125)) }
        if opcode == 8, Bool.random(using: &generator) { frame.payload = [0x03, 0xE8] }
        if opcode == 1 || opcode == 2, Int.random(in: 0..<4, using: &generator) == 0 { frame.reserved = 4 }
        frame.isFinal = opcode >= 8 || Bool.random(using: &generator)
        frame.mask = (0..<4).map { _ in UInt8.random(in: 0...255, using: &generator) }
        return frame
    }

    /// Nearly valid frames, with a few bytes changed.
    private static func bytes(_ generator: inout SeededGenerator) -> [UInt8] {
        var bytes = (0..<Int.random(in: 1...6, using: &generator)).flatMap { _ in frame(&generator).bytes }
        for _ in 0..<Int.random(in: 0...2, using: &generator) where !bytes.isEmpty {
            let at = Int.random(in: 0..<bytes.count, using: &generator)
            switch Int.random(in: 0..<4, using: &generator) {
            case 0: bytes[at] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
            case 1: bytes[at] = UInt8.random(in: 0...255, using: &generator)
            case 2: bytes.remove(at: at)
            default: bytes.removeSubrange(at...)
            }
        }
        return bytes
    }

    @Test(arguments: 0..<50)
    func `Nearly right frames: byte by byte, in pieces and whole mean the same`(block: UInt64) {
        var violations = 0, messages = 0
        for seed in block * 1000..<(block + 1) * 1000 {
            var generator = SeededGenerator(seed: seed)
            let bytes = Self.bytes(&generator)
            let whole = Events(
                bytes, maximumMessageBytes: 1000, maximumFragments: 4, allowsCompression: seed % 2 == 0)
            for piece in [1, Int.random(in: 2...20, using: &generator)] {
                let events = Events(
                    bytes, piece: piece, maximumMessageBytes: 1000, maximumFragments: 4,
                    allowsCompression: seed % 2 == 0)
                if events != whole { Issue.record("seed \(seed), piece \(piece)") }
            }
            for (index, event) in whole.all.enumerated() {
                switch event {
                case .violation:
                    violations += 1
                    if index < whole.all.count - 1 { Issue.record("seed \(seed): something came after a violation") }
                case .text(let bytes), .binary(let bytes), .compressed(let bytes, _):
                    messages += 1
                    if bytes.readableBytes > 1000 { Issue.record("seed \(seed)") }
                case .ping(let payload): if payload.readableBytes > 125 { Issue.record("seed \(seed)") }
                case .pong, .close: break
                }
            }
        }
        #expect(violations > 100 && messages > 100, "the fuzz must see both: \(violations), \(messages)")
    }

    @Test(arguments: 0..<5)
    func `Random bytes never crash the parser`(block: UInt64) {
        for seed in block * 1000..<(block + 1) * 1000 {
            var generator = SeededGenerator(seed: 7_000_000 + seed)
            let bytes = (0..<Int.random(in: 0...64, using: &generator)).map { _ in
                UInt8.random(in: 0...255, using: &generator)
            }
            #expect(Events(bytes) == Events(bytes, piece: 1), "seed \(seed)")
        }
    }
}
