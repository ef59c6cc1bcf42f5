import Broker
import NIOCore
import Testing

@testable import Gateway

/// RSV1 (RFC 7692 section 6): where it is allowed, and what it means.
struct CompressedFrameTests {
    private func words(_ frames: [FrameMaker], piece: Int = .max, allowsCompression: Bool = true) -> [String] {
        Events(frames.flatMap(\.bytes), piece: piece, allowsCompression: allowsCompression).words
    }

    private let first = FrameMaker(opcode: 0x1, payload: [0xF2, 0x48, 0xFF], reserved: 4)
    private var begun: FrameMaker { FrameMaker(opcode: 0x1, payload: [0xF2, 0x48], isFinal: false, reserved: 4) }

    @Test(arguments: [Int.max, 1, 3])
    func `A message with RSV1 set comes compressed, its text unchecked, however its bytes come`(piece: Int) {
        #expect(words([first], piece: piece) == ["compressed text [242, 72, 255]"])
        #expect(
            words([FrameMaker(opcode: 0x2, payload: [1], reserved: 4)], piece: piece) == ["compressed binary [1]"])
        #expect(
            words(
                [begun, .ping("now"), FrameMaker(opcode: 0x0, payload: [0xFF]), .text("plain")], piece: piece)
                == ["ping now", "compressed text [242, 72, 255]", "text plain"])
        #expect(words([FrameMaker(opcode: 0x1, reserved: 4)], piece: piece) == ["compressed text []"])
    }

    @Test func `A message without RSV1 is a message as ever`() {
        #expect(
            words([.text("Hello"), .binary([0xFF]), FrameMaker(opcode: 0x1, payload: [0xFF])])
                == ["text Hello", "binary [255]", "violation 1007"])
    }

    @Test(arguments: [Int.max, 1])
    func `RSV1 on a continuation or a control frame is refused`(piece: Int) {
        for opcode in [0x8, 0x9, 0xA] as [UInt8] {
            #expect(words([FrameMaker(opcode: opcode, reserved: 4)], piece: piece) == ["violation 1002"])
        }
        #expect(words([begun, FrameMaker(opcode: 0x0, payload: [1], reserved: 4)], piece: piece) == ["violation 1002"])
        #expect(
            words([.text("a", isFinal: false), FrameMaker(opcode: 0x0, payload: [1], reserved: 4)], piece: piece)
                == ["violation 1002"])
    }

    @Test(arguments: [1, 2, 3, 5, 6, 7] as [UInt8])
    func `The other reserved bits are refused all the same`(reserved: UInt8) {
        #expect(words([FrameMaker(opcode: 0x1, payload: [0x61], reserved: reserved)]) == ["violation 1002"])
    }

    @Test func `Where nothing was negotiated RSV1 is refused`() {
        #expect(words([first], allowsCompression: false) == ["violation 1002"])
    }

    @Test func `The bounds of a message hold for its compressed bytes`() {
        let half = [UInt8](repeating: 0xFF, count: 33_000)
        #expect(words([FrameMaker(opcode: 0x1, reserved: 4, length: 65_537)]) == ["violation 1009"])
        #expect(
            words([
                FrameMaker(opcode: 0x2, payload: half, isFinal: false, reserved: 4),
                FrameMaker(opcode: 0, payload: half),
            ]) == ["violation 1009"])
        #expect(
            words([begun] + (0..<64).map { _ in FrameMaker(opcode: 0, isFinal: false) }) == ["violation 1009"])
    }

    @Test func `A compressed text frame of ours has RSV1 set and its length in its shortest form`() {
        #expect(Array(FrameWriter.compressedText(ByteBuffer(bytes: [1, 2])).readableBytesView) == [0xC1, 2, 1, 2])
        #expect(
            Array(FrameWriter.compressedText(ByteBuffer(repeating: 0, count: 126)).readableBytesView.prefix(4))
                == [0xC1, 126, 0, 126])
    }
}
