import Broker
import NIOCore
import Testing

@testable import Gateway

struct ReadEncodingsTests {
    private func publication(_ offset: UInt64, _ byte: Character = "a", bytes: Int = 10) -> Publication {
        Publication(
            group: try! GroupName("a"), position: Position(epoch: "e", history: "a", offset: offset),
            json: ByteBuffer(repeating: byte.asciiValue!, count: bytes))
    }

    /// Whether the bytes are cached: if so, a different text under the same position is not encoded again.
    private func isKept(_ offset: UInt64, in encodings: ReadEncodings) -> Bool {
        let other = publication(offset, "b")
        var encoded = encodings[other]
        return encoded.bytes(for: .plain) != FrameWriter.text(other.json)
    }

    @Test func `Who is given the same message is given the same bytes`() {
        var encodings = ReadEncodings()
        var encoded = encodings[publication(1)]
        let bytes = encoded.bytes(for: .plain)
        #expect(!isKept(1, in: encodings))
        encodings.keep(encoded)
        #expect(isKept(1, in: encodings) && !isKept(2, in: encodings))
        var again = encodings[publication(1)]
        #expect(again.bytes(for: .plain) == bytes)
    }

    @Test func `No more than a MiB is kept, or one message`() {
        var encodings = ReadEncodings()
        for offset in 1...5 as ClosedRange<UInt64> {
            var encoded = encodings[publication(offset, bytes: 300_000)]
            _ = encoded.bytes(for: .plain)
            encodings.keep(encoded)
        }
        #expect((1...5).map { isKept($0, in: encodings) } == [false, false, false, true, true])
        encodings.keep(Encodings(publication(9, bytes: 2 << 20)))
        #expect(!isKept(5, in: encodings) && !encodings.isEmpty)
    }
}
