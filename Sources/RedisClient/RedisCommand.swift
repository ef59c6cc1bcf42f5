public import NIOCore

/// A Redis command: its name and arguments, as bytes.
///
/// ```swift
/// var command = RedisCommand("ZADD", "asgi:group:news")
/// command.append(1_795_351_382)
/// ```
public struct RedisCommand: Sendable {
    /// All arguments, one behind the other.
    var bytes: ByteBuffer
    var lengths: [Int]

    public init(_ name: String, _ arguments: String...) {
        bytes = ByteBuffer()
        lengths = []
        lengths.reserveCapacity(arguments.count + 1)
        append(name)
        for argument in arguments { append(argument) }
    }

    /// `FCALL function numkeys key… `; append the arguments.
    public static func fcall(_ function: String, keys: [String] = []) -> RedisCommand {
        var command = RedisCommand("FCALL", function)
        command.append(keys.count)
        for key in keys { command.append(key) }
        return command
    }

    public mutating func append(_ text: String) { lengths.append(bytes.writeString(text)) }
    public mutating func append(_ number: Int) { lengths.append(bytes.writeString(String(number))) }
    public mutating func append(_ argument: ByteBuffer) { lengths.append(bytes.writeImmutableBuffer(argument)) }

    /// How many bytes its arguments have.
    var size: Int { bytes.readableBytes }
}

extension RedisCommand: CustomStringConvertible {
    /// The name only: arguments can be secrets (`AUTH`) or people's messages.
    public var description: String {
        bytes.getString(at: bytes.readerIndex, length: lengths[0]) ?? "?"
    }
}
