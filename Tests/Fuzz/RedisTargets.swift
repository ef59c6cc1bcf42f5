import NIOCore

@testable import RedisClient

/// Replies from Redis.
extension FuzzTargets {
    /// The first byte: how many bytes arrive at a time. The rest: replies. They mean the same in pieces, and can be re-encoded as a
    /// command, which parses to its arguments.
    @Sendable static func replies(_ input: [UInt8]) {
        guard let first = input.first else { return }
        let bytes = input.dropFirst()
        let whole = values(bytes, piece: max(bytes.count, 1)), pieces = values(bytes, piece: Int(first) + 1)
        precondition(
            whole.values == pieces.values && whole.failed == pieces.failed, "bytes in pieces mean something else")
        for value in whole.values {
            _ = value.int
            _ = value.pairs
            guard let arguments = value.array?.compactMap(\.bytes), !arguments.isEmpty else { continue }
            var command = RedisCommand("ECHO")
            for argument in arguments { command.append(argument) }
            var wire = ByteBuffer()
            command.write(to: &wire)
            let read = values(wire.readableBytesView[...], piece: Int(first) + 1)
            let sent = [ByteBuffer(string: "ECHO")] + arguments
            precondition(
                read.values == [.array(sent.map(RedisValue.string))] && !read.failed, "another command was sent")
        }
    }

    private static func values(_ bytes: some Collection<UInt8>, piece: Int) -> (values: [RedisValue], failed: Bool) {
        let reader = RedisReplyReader(maximumBytes: 2000)
        var values: [RedisValue] = []
        var rest = bytes[...]
        do throws(RedisError) {
            while !rest.isEmpty {
                try reader.feed(ByteBuffer(bytes: rest.prefix(piece)))
                rest = rest.dropFirst(piece)
                while let value = try reader.next({ RedisValue($0) }) { values.append(value) }
            }
        } catch {
            precondition(error.code == .protocolViolation, "\(error)")
            return (values, true)
        }
        return (values, false)
    }
}
