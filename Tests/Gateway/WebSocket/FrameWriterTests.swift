import NIOCore
import Testing

@testable import Gateway

struct FrameWriterTests {
    private func bytes(_ buffer: ByteBuffer) -> [UInt8] { Array(buffer.readableBytesView) }

    /// RFC 6455 section 5.7.
    @Test func `The unmasked examples of the RFC are written`() {
        #expect(bytes(FrameWriter.text(ByteBuffer(string: "Hello"))) == [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f])
        #expect(bytes(FrameWriter.ping(ByteBuffer(string: "Hello"))) == [0x89, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f])
        #expect(bytes(FrameWriter.pong(ByteBuffer(string: "Hello"))) == [0x8a, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f])
        #expect(bytes(FrameWriter.ping()) == [0x89, 0x00])
    }

    @Test(
        arguments: [
            (0, [0]), (1, [1]), (125, [125]), (126, [126, 0, 126]), (127, [126, 0, 127]), (65_535, [126, 0xFF, 0xFF]),
            (65_536, [127, 0, 0, 0, 0, 0, 1, 0, 0]), (1 << 20, [127, 0, 0, 0, 0, 0, 0x10, 0, 0]),
        ] as [(Int, [UInt8])])
    func `A length is in its shortest form`(count: Int, length: [UInt8]) {
        let payload = [UInt8](repeating: 0x78, count: count)
        #expect(bytes(FrameWriter.text(ByteBuffer(bytes: payload))) == [0x81] + length + payload)
    }

    @Test func `A close has a code and a reason, or neither`() {
        #expect(bytes(FrameWriter.close(nil)) == [0x88, 0])
        #expect(bytes(FrameWriter.close(1000)) == [0x88, 2, 0x03, 0xE8])
        #expect(bytes(FrameWriter.close(4508, reason: "slow")) == [0x88, 6, 0x11, 0x9C] + Array("slow".utf8))
    }

    @Test(arguments: [
        (String(repeating: "a", count: 123), 123), (String(repeating: "a", count: 124), 123),
        (String(repeating: "a", count: 5000), 123),
        (String(repeating: "a", count: 122) + "ë", 122), (String(repeating: "a", count: 121) + "ë", 123),
        (String(repeating: "€", count: 41), 123), (String(repeating: "€", count: 42), 123),
        (String(repeating: "𝄞", count: 40), 120),
        ("a" + String(repeating: "e\u{301}", count: 60), 121),
    ])
    func `A reason is cut to 123 bytes between two characters`(reason: String, length: Int) throws {
        let frame = bytes(FrameWriter.close(1012, reason: reason))
        #expect(frame[0] == 0x88)
        #expect(Int(frame[1]) == length + 2)
        #expect(frame.count == length + 4)
        let written = try #require(String(validating: frame[4...], as: UTF8.self))
        #expect(reason.hasPrefix(written))
    }
}
