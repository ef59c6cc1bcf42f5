@testable import Gateway

extension FuzzTargets {
    /// A session cookie's payload: the output never exceeds its limit, and nothing may follow the stream.
    @Sendable static func zlib(_ input: [UInt8]) {
        let maximum = 20_000
        for stream in [input, [0x78, 0x9C] + input] {
            guard let output = try? InflateStream.zlib(stream, maximumBytes: maximum) else { continue }
            precondition(output.count <= maximum)
            precondition(
                (try? InflateStream.zlib(stream + [0], maximumBytes: maximum)) == nil, "something may follow it")
            if !output.isEmpty {
                let less = try? InflateStream.zlib(stream, maximumBytes: output.count - 1)
                precondition(less == nil, "it is longer than it may be")
            }
        }
    }
}
