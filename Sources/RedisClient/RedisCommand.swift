public import NIOCore

/// A Redis command: its name and arguments, as bytes.
///
/// Written as RESP's bulk strings as it is built: hiredis' formatter would go over all of it again, with a `sprintf` for each
/// argument (redis.io, "Redis serialization protocol").
///
/// ```swift
/// var command = RedisCommand("ZADD", "asgi:group:news")
/// command.append(1_795_351_382)
/// ```
public struct RedisCommand: Sendable {
    private let name: String
    private var strings: ByteBuffer
    private var count = 0

    public init(_ name: String, _ arguments: String...) {
        self.name = name
        strings = ByteBufferAllocator().buffer(capacity: 128)
        append(name)
        for argument in arguments { append(argument) }
    }

    public mutating func append(_ text: String) {
        begin(text.utf8.count)
        strings.writeString(text)
        strings.writeStaticString("\r\n")
    }

    public mutating func append(_ number: Int) { append(String(number)) }

    public mutating func append(_ argument: ByteBuffer) {
        begin(argument.readableBytes)
        strings.writeImmutableBuffer(argument)
        strings.writeStaticString("\r\n")
    }

    private mutating func begin(_ length: Int) {
        count += 1
        strings.writeHead("$", length)
    }

    /// Appends the command to what is on its way to Redis.
    func write(to buffer: inout ByteBuffer) {
        buffer.writeHead("*", count)
        buffer.writeImmutableBuffer(strings)
    }
}

extension ByteBuffer {
    /// What kind of value comes, and of how many parts: `$42\r\n`.
    fileprivate mutating func writeHead(_ kind: StaticString, _ count: Int) {
        writeStaticString(kind)
        writeString(String(count))
        writeStaticString("\r\n")
    }
}

extension RedisCommand: CustomStringConvertible {
    /// The name only: arguments can be secrets (`AUTH`) or people's messages.
    public var description: String { name }
}
