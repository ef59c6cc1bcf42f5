import NIOCore
import Testing

/// A message written by a Python process.
struct MessageVector: Sendable, CustomTestStringConvertible {
    var name: String
    /// Number of random bytes before the message.
    var prefixLength: Int
    var base64: String
    /// The expected JSON, without the layer's entry.
    var json: String
    var channels: [String]

    var testDescription: String { self.name }

    var bytes: ByteBuffer { decodeBase64(self.base64) }

    /// The message without its random prefix.
    var body: ByteBuffer {
        let bytes = self.bytes
        return bytes.getSlice(at: self.prefixLength, length: bytes.readableBytes - self.prefixLength)!
    }
}

/// A buffer from hex digits; spaces are ignored.
func hex(_ text: String) -> ByteBuffer {
    let digits = text.utf8.filter { $0 != 0x20 }.map { UInt8(String(UnicodeScalar($0)), radix: 16)! }
    return ByteBuffer(bytes: stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] })
}

private func decodeBase64(_ text: String) -> ByteBuffer {
    let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    var bytes = ByteBuffer()
    var bits: UInt32 = 0
    var count = 0
    for digit in text.utf8 where digit != UInt8(ascii: "=") {
        bits = bits << 6 | UInt32(alphabet.firstIndex(of: digit)!)
        count += 6
        if count >= 8 {
            count -= 8
            bytes.writeInteger(UInt8(truncatingIfNeeded: bits >> UInt32(count)))
        }
    }
    return bytes
}

/// SplitMix64, with the same numbers on every run.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) {
        self.state = seed
    }

    mutating func next() -> UInt64 {
        self.state &+= 0x9E37_79B9_7F4A_7C15
        var value = self.state
        value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
        return value ^ value >> 31
    }
}
