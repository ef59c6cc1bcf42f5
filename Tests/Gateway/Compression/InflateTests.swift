import Crypto
import Foundation
import TestSupport
import Testing

@testable import Gateway

/// zlib's output is inflated correctly, and no other input does harm.
struct InflateTests {
    @Test(arguments: LoginVectors.all.deflated.indices)
    func `What zlib deflated comes out again`(index: Int) throws {
        let vector = LoginVectors.all.deflated[index]
        let input = Array(try #require(Data(base64Encoded: vector.deflated)))
        let output = try InflateStream.zlib(input, maximumBytes: vector.bytes)
        #expect(output.count == vector.bytes)
        #expect(SHA256.hash(data: output).map { String(format: "%02x", $0) }.joined() == vector.sha256)
        if vector.bytes > 0 {
            #expect(throws: InflateStream.Failure.tooBig) {
                try InflateStream.zlib(input, maximumBytes: vector.bytes - 1)
            }
        }
        for end in 0..<min(input.count, 300) {
            #expect(throws: InflateStream.Failure.self) {
                try InflateStream.zlib(Array(input[..<end]), maximumBytes: 1 << 20)
            }
        }
        #expect(throws: InflateStream.Failure.corrupt) { try InflateStream.zlib(input + [0], maximumBytes: 1 << 20) }
    }

    @Test func `Bytes changed at random crash nothing, and are noticed`() throws {
        var chance = SeededGenerator(seed: 7)
        var failures = 0
        for vector in LoginVectors.all.deflated {
            let input = Array(try #require(Data(base64Encoded: vector.deflated)))
            for _ in 0..<300 {
                var bytes = input
                for _ in 0..<Int.random(in: 1...3, using: &chance) {
                    bytes[Int.random(in: 2..<bytes.count, using: &chance)] ^= UInt8.random(in: 1...255, using: &chance)
                }
                guard bytes != input else { continue }
                if let output = try? InflateStream.zlib(bytes, maximumBytes: 1 << 17) {
                    // Some bits are meaningless: those that fill up the last byte of a block.
                    #expect(SHA256.hash(data: output).map { String(format: "%02x", $0) }.joined() == vector.sha256)
                } else {
                    failures += 1
                }
            }
        }
        #expect(failures > 10_000)
    }

    @Test func `Random bytes crash nothing`() {
        var chance = SeededGenerator(seed: 8)
        for _ in 0..<20_000 {
            let tail = (0..<Int.random(in: 0...80, using: &chance)).map { _ in UInt8.random(in: 0...255, using: &chance)
            }
            _ = try? InflateStream.zlib([0x78, 0x9c] + tail, maximumBytes: 1 << 16)
            _ = try? InflateStream.zlib(tail, maximumBytes: 1 << 16)
        }
    }
}
