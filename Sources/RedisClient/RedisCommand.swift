public import NIOCore

/// A Redis command: its name and arguments, as bytes.
///
/// Encoded as RESP bulk strings while it is built: hiredis' formatter would process everything again, with a `sprintf` for
/// each argument (redis.io, "Redis serialization protocol").
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
        strings = ByteBufferAllocator().buffer(capacity: 256)
        append(name)
        for argument in arguments { append(argument) }
    }

    public mutating func append(_ text: String) {
        var text = text
        text.withUTF8 { append(UnsafeRawBufferPointer($0)) }
    }

    public mutating func append(_ number: Int) { append(String(number)) }

    public mutating func append(_ argument: ByteBuffer) {
        argument.withUnsafeReadableBytes { append($0) }
    }

    /// Appends `$LENGTH\r\nBYTES\r\n` in a single write, because commands have many short strings.
    private mutating func append(_ bytes: UnsafeRawBufferPointer) {
        count += 1
        let most = ByteBuffer.mostHeadBytes + bytes.count + 2
        strings.writeWithUnsafeMutableBytes(minimumWritableBytes: most) { target in
            var end = ByteBuffer.head(UInt8(ascii: "$"), bytes.count, in: target)
            if !bytes.isEmpty {
                UnsafeMutableRawBufferPointer(rebasing: target[end...]).copyMemory(from: bytes)
                end += bytes.count
            }
            target[end] = UInt8(ascii: "\r")
            target[end + 1] = UInt8(ascii: "\n")
            return end + 2
        }
    }

    /// Appends the encoded command to an outgoing buffer.
    func write(to buffer: inout ByteBuffer) {
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: ByteBuffer.mostHeadBytes) { target in
            ByteBuffer.head(UInt8(ascii: "*"), count, in: target)
        }
        buffer.writeImmutableBuffer(strings)
    }
}

extension ByteBuffer {
    /// The type byte, 19 digits and a line end.
    fileprivate static let mostHeadBytes = 22

    /// Writes a type byte, a count and a line end: `$42\r\n`. Returns the length.
    fileprivate static func head(_ kind: UInt8, _ count: Int, in target: UnsafeMutableRawBufferPointer) -> Int {
        target[0] = kind
        var digits = 1
        var power = 10
        while count >= power, digits < 19 {
            digits += 1
            power = digits < 19 ? power * 10 : power
        }
        var rest = count
        for place in stride(from: digits, to: 0, by: -1) {
            target[place] = UInt8(ascii: "0") + UInt8(rest % 10)
            rest /= 10
        }
        target[digits + 1] = UInt8(ascii: "\r")
        target[digits + 2] = UInt8(ascii: "\n")
        return digits + 3
    }
}

extension RedisCommand: CustomStringConvertible {
    /// Only the name: arguments may be secrets (`AUTH`) or personal messages.
    public var description: String { name }
}
