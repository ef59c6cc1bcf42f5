import Broker
import NIOCore
import Testing

@testable import Gateway

/// What RFC 6455 forbids, with the close codes of FAULTS S14 to S23.
struct FrameViolationTests {
    /// The same code however the bytes are split, and nothing is parsed after it.
    private func expect(_ code: CloseCode, _ frames: [FrameMaker], after words: [String] = []) {
        for piece in [Int.max, 1, 3] {
            let events = Events(frames + [.text("after"), .ping("after")], piece: piece)
            #expect(events.words == words + ["violation \(code.rawValue)"])
        }
    }

    @Test(arguments: [0x0, 0x1, 0x2, 0x8, 0x9, 0xA] as [UInt8])
    func `S14: a frame without a mask is refused`(opcode: UInt8) {
        expect(.protocolError, [FrameMaker(opcode: opcode, payload: [0x41], isMasked: false)])
    }

    @Test(arguments: 1...7 as ClosedRange<UInt8>)
    func `S15: reserved bits are refused, on first frames, continuations and control frames`(reserved: UInt8) {
        for opcode in [0x1, 0x2, 0x8, 0x9, 0xA] as [UInt8] {
            expect(.protocolError, [FrameMaker(opcode: opcode, payload: [0x41], reserved: reserved)])
        }
        expect(
            .protocolError, [.text("a", isFinal: false), FrameMaker(opcode: 0, payload: [0x41], reserved: reserved)])
    }

    @Test(arguments: [0x3, 0x4, 0x5, 0x6, 0x7, 0xB, 0xC, 0xD, 0xE, 0xF] as [UInt8])
    func `S16: unknown opcodes are refused, also inside a message`(opcode: UInt8) {
        expect(.protocolError, [FrameMaker(opcode: opcode)])
        expect(.protocolError, [.text("a", isFinal: false), FrameMaker(opcode: opcode, payload: [0x41])])
    }

    @Test(arguments: [0x8, 0x9, 0xA] as [UInt8])
    func `S17: a control frame is whole and short`(opcode: UInt8) {
        expect(.protocolError, [FrameMaker(opcode: opcode, payload: [0x03, 0xE8], isFinal: false)])
        expect(.protocolError, [FrameMaker(opcode: opcode, payload: [UInt8](repeating: 0x61, count: 126))])
        expect(.protocolError, [FrameMaker(opcode: opcode, payload: [0x03, 0xE8], headerBytes: 4)])
        expect(.protocolError, [FrameMaker(opcode: opcode, payload: [0x03, 0xE8], headerBytes: 10)])
    }

    @Test(arguments: [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535] as [UInt16])
    func `S17: a close code that may not be sent is refused`(code: UInt16) {
        expect(.protocolError, [.close(code)])
        expect(.protocolError, [.close(code, Array("reason".utf8))])
    }

    @Test func `S17: a close of one byte, or with a reason that is no UTF-8, is refused`() {
        expect(.protocolError, [FrameMaker(opcode: 8, payload: [0x03])])
        for reason in [[0xFF], [0xC3], [0xED, 0xA0, 0x80], Array("ok".utf8) + [0xE2, 0x82]] as [[UInt8]] {
            expect(.invalidData, [.close(1000, reason)])
        }
    }

    @Test func `S18: a message that is too large is refused by its announcement`() {
        for length in [65_537, 100_000, 33 << 20, 1 << 31, 1 << 32, 1 << 62, 1 << 63, .max] as [UInt64] {
            for opcode in [0x1, 0x2] as [UInt8] {
                let header = Array(FrameMaker(opcode: opcode, length: length).bytes.prefix(10))
                #expect(Events(header).words == ["violation 1009"], "without a byte of the payload, or of the mask")
            }
        }
    }

    @Test func `S18: fragments count together`() {
        let half = String(repeating: "x", count: 32_768)
        #expect(Events([.text(half, isFinal: false), .more(half, isFinal: true)]).all.count == 1)
        let header = Array(FrameMaker(opcode: 0, isFinal: true, length: 1).bytes.prefix(2))
        let events = Events(FrameMaker.text(half, isFinal: false).bytes + FrameMaker.more(half).bytes + header)
        #expect(events.words == ["violation 1009"])
    }

    @Test func `A length that is not in its shortest form is refused`() {
        expect(.protocolError, [FrameMaker(opcode: 1, payload: [0x41], headerBytes: 4)])
        expect(.protocolError, [FrameMaker(opcode: 1, payload: [0x41], headerBytes: 10)])
        expect(
            .protocolError, [FrameMaker(opcode: 1, payload: [UInt8](repeating: 0x41, count: 65_535), headerBytes: 10)])
    }

    /// Each ends with the byte at which it becomes invalid.
    private static let notUTF8: [[UInt8]] = [
        [0xFF], [0x80], [0xC0, 0xAF], [0xC1, 0xBF], [0xE0, 0x9F, 0xBF], [0xF0, 0x8F, 0xBF, 0xBF], [0xED, 0xA0, 0x80],
        [0xF4, 0x90, 0x80, 0x80], [0xF5, 0x80, 0x80, 0x80],
        [0xCE, 0xBA, 0xE1, 0xBD, 0xB9, 0xCF, 0x83, 0xED, 0xA0, 0x80],
    ]

    @Test(arguments: notUTF8)
    func `S19: text that is no UTF-8 is refused, whole, split and inside a message that goes on`(bytes: [UInt8]) {
        expect(.invalidData, [FrameMaker(opcode: 1, payload: bytes)])
        expect(.invalidData, [FrameMaker(opcode: 1, payload: bytes, isFinal: false)])
        for cut in 1..<max(bytes.count, 2) where cut < bytes.count {
            expect(
                .invalidData,
                [
                    FrameMaker(opcode: 1, payload: Array(bytes[..<cut]), isFinal: false),
                    FrameMaker(opcode: 0, payload: Array(bytes[cut...])),
                ])
        }
    }

    @Test func `S19: text that ends inside a character is refused`() {
        for text in ["ë", "€", "𝄞"] {
            let bytes = Array(text.utf8)
            for cut in 1..<bytes.count {
                expect(.invalidData, [FrameMaker(opcode: 1, payload: Array(bytes[..<cut]))])
                expect(
                    .invalidData,
                    [FrameMaker(opcode: 1, payload: Array(bytes[..<cut]), isFinal: false), .more("", isFinal: true)])
            }
        }
    }

    @Test func `S19: it is refused as soon as it can be decided, before the frame is whole`() {
        let frame = FrameMaker(opcode: 1, payload: Array("abc".utf8) + [0xFF] + [UInt8](repeating: 0x61, count: 50_000))
            .bytes
        #expect(Events(Array(frame.prefix(8 + 4))).words == ["violation 1007"])
    }

    @Test(arguments: ["x", ""])
    func `S21, S22: fragments without end are refused at the 65th, empty ones too`(text: String) {
        let frames = [FrameMaker.text(text, isFinal: false)] + (0..<100).map { _ in FrameMaker.more(text) }
        #expect(Events(frames).words == ["violation 1009"])
        #expect(Events(Array(frames.prefix(64))).words == [])
    }

    @Test func `S23: a continuation needs a beginning, and a message its end`() {
        expect(.protocolError, [.more("x")])
        expect(.protocolError, [.more("x", isFinal: true)])
        expect(.protocolError, [.text("a"), .more("x", isFinal: true)], after: ["text a"])
        expect(.protocolError, [.text("a", isFinal: false), .text("b")])
        expect(.protocolError, [.text("a", isFinal: false), .binary([1])])
    }

    @Test func `What came before a violation is given`() {
        expect(.protocolError, [.text("one"), .ping("two"), FrameMaker(opcode: 3)], after: ["text one", "ping two"])
    }
}
