import CZlib

@testable import Gateway

extension FuzzTargets {
    /// Compressed blocks as a session's cookie has them: what zlib makes of them, this does too.
    @Sendable static func zlib(_ input: [UInt8]) {
        let maximum = 20_000
        if let (output, taken) = library(input, maximum: maximum) {
            var sum: (UInt32, UInt32) = (1, 0)
            for byte in output {
                sum.0 = (sum.0 + UInt32(byte)) % 65521
                sum.1 = (sum.1 + sum.0) % 65521
            }
            let checksum = withUnsafeBytes(of: (sum.1 << 16 | sum.0).bigEndian) { Array($0) }
            let stream = [0x78, 0x9C] + input.prefix(taken) + checksum
            precondition((try? Inflate.zlib(stream, maximum: maximum)) == output, "zlib makes something else of it")
            precondition((try? Inflate.zlib(stream + [0], maximum: maximum)) == nil, "something may follow it")
            if !output.isEmpty {
                precondition(
                    (try? Inflate.zlib(stream, maximum: output.count - 1)) == nil, "it is longer than it may be")
            }
        }
        if let output = try? Inflate.zlib(input, maximum: maximum) { precondition(output.count <= maximum) }
    }

    /// What the system's library reads, and of how many bytes; nil: it is broken, cut off or too long.
    private static func library(_ input: [UInt8], maximum: Int) -> ([UInt8], Int)? {
        var stream = z_stream(), input = input
        var output = [UInt8](repeating: 0, count: maximum + 1)
        let status = input.withUnsafeMutableBufferPointer { input in
            output.withUnsafeMutableBufferPointer { output in
                stream.next_in = input.baseAddress
                stream.avail_in = UInt32(input.count)
                stream.next_out = output.baseAddress
                stream.avail_out = UInt32(output.count)
                inflateInit2_(&stream, -15, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
                defer { inflateEnd(&stream) }
                return CZlib.inflate(&stream, Z_FINISH)
            }
        }
        guard status == Z_STREAM_END, stream.total_out <= maximum else { return nil }
        return (Array(output.prefix(Int(stream.total_out))), Int(stream.total_in))
    }
}
