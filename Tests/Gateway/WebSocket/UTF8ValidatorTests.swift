import TestSupport
import Testing

@testable import Gateway

/// Compared with the standard library's validation.
struct UTF8ValidatorTests {
    /// Millions of texts go through here: nothing is copied.
    private func isValid(_ bytes: [UInt8], piece: Int = .max) -> Bool {
        bytes.withUnsafeBytes { bytes in
            var validator = UTF8Validator()
            var at = 0
            while at < bytes.count {
                let end = at + min(piece, bytes.count - at)
                guard validator.consume(UnsafeRawBufferPointer(rebasing: bytes[at..<end])) else { return false }
                at = end
            }
            return validator.isAtBoundary
        }
    }

    /// By the library's decoder that answers. `String(validating:)` throws inside, and for each error that is thrown in a test
    /// the stack is written down, which costs more than all the rest.
    private static func isText(_ bytes: [UInt8]) -> Bool {
        var parser = UTF8.ForwardParser(), rest = bytes.makeIterator()
        while true {
            switch parser.parseScalar(from: &rest) {
            case .valid: continue
            case .emptyInput: return true
            case .error: return false
            }
        }
    }

    private func expectSame(_ bytes: [UInt8]) {
        let expected = Self.isText(bytes)
        if isValid(bytes) != expected || isValid(bytes, piece: 1) != expected { Issue.record("\(bytes) is wrong") }
    }

    @Test func `All sequences of one and two bytes`() {
        for first in UInt8.min...UInt8.max {
            expectSame([first])
            for second in UInt8.min...UInt8.max { expectSame([first, second]) }
        }
    }

    @Test func `All sequences of three bytes that begin like one, and samples of the others`() {
        for first in UInt8.min...UInt8.max {
            for second in UInt8.min...UInt8.max {
                let step = (0xE0...0xEF).contains(first) ? 1 : 17
                for third in stride(from: 0, through: 255, by: step) { expectSame([first, second, UInt8(third)]) }
            }
        }
    }

    @Test func `Four bytes at all their boundaries`() {
        let edges: [UInt8] = [0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xFF]
        for first in 0xEC...0xFF as ClosedRange<UInt8> {
            for second in UInt8.min...UInt8.max {
                for third in edges { for fourth in edges { expectSame([first, second, third, fourth]) } }
            }
        }
    }

    @Test func `Every character at every distance from the fast path's eight bytes`() {
        for character in ["\u{7f}", "\u{80}", "\u{7ff}", "\u{800}", "\u{ffff}", "\u{10000}", "\u{10ffff}"] {
            for before in 0...17 {
                for after in 0...9 {
                    let bytes =
                        [UInt8](repeating: 0x61, count: before) + Array(character.utf8)
                        + [UInt8](repeating: 0x62, count: after)
                    for piece in [Int.max, 1, 3, 8] { #expect(isValid(bytes, piece: piece)) }
                    var broken = bytes
                    broken[before] = 0xFF
                    for piece in [Int.max, 1, 3, 8] { #expect(!isValid(broken, piece: piece)) }
                }
            }
        }
    }

    @Test(arguments: 0..<10)
    func `Random texts with random damage, in random pieces`(block: UInt64) {
        for seed in block * 500..<(block + 1) * 500 {
            var generator = SeededGenerator(seed: seed)
            let alphabet = ["a", "ë", "€", "𝄞", "\0", "\u{7ff}", "\u{d7ff}", "\u{e000}"]
            let text = (0..<Int.random(in: 0...40, using: &generator)).map { _ in
                alphabet.randomElement(using: &generator)!
            }
            var bytes = text.flatMap { Array($0.utf8) }
            if Bool.random(using: &generator), !bytes.isEmpty {
                bytes[Int.random(in: 0..<bytes.count, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
            }
            let expected = String(validating: bytes, as: UTF8.self) != nil
            #expect(Self.isText(bytes) == expected)
            #expect(isValid(bytes, piece: Int.random(in: 1...9, using: &generator)) == expected, "seed \(seed)")
        }
    }

    @Test func `Invalid bytes are refused at once, not at the end`() {
        for bytes in [[0xC0], [0xE0, 0x80], [0xED, 0xA0], [0xF0, 0x80], [0xF4, 0x90], [0xF5]] as [[UInt8]] {
            var validator = UTF8Validator()
            #expect(bytes.withUnsafeBytes { validator.consume($0) } == false)
        }
    }

    @Test func `Nothing is valid, and at a boundary`() {
        #expect(isValid([]))
        var validator = UTF8Validator()
        #expect([UInt8]().withUnsafeBytes { validator.consume($0) })
    }
}
