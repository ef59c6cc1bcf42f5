public import NIOCore

/// A reply from Redis, in terms of RESP2.
public enum RedisValue: Sendable, Equatable {
    case null
    case integer(Int64)
    /// A simple string such as `+OK`.
    case status(String)
    case string(ByteBuffer)
    /// An error inside an array (of `EXEC`, for example). An error as the whole reply is thrown as `RedisError`.
    case error(String)
    case array([RedisValue])

    public var int: Int? {
        switch self {
        case .integer(let value): Int(value)
        case .string(let bytes): Int(String(buffer: bytes))
        default: nil
        }
    }

    public var text: String? {
        switch self {
        case .string(let bytes): String(buffer: bytes)
        case .status(let text): text
        case .integer(let value): String(value)
        default: nil
        }
    }

    public var bytes: ByteBuffer? { if case .string(let bytes) = self { bytes } else { nil } }
    public var array: [RedisValue]? { if case .array(let values) = self { values } else { nil } }

    /// The elements of an array as pairs of strings, as in the reply to `HGETALL`.
    public var pairs: [(String, String)] {
        guard let array else { return [] }
        return stride(from: 0, to: array.count - 1, by: 2).compactMap { index in
            guard let key = array[index].text, let value = array[index + 1].text else { return nil }
            return (key, value)
        }
    }
}

extension RedisValue {
    /// Copies a reply out of the reader: all its strings share one buffer.
    init(_ view: borrowing RedisReplyView) {
        let copy = view.copyBytes()
        var index = 0
        self = RedisValue.read(view, at: &index, bytes: copy)
    }

    // The shim limits the depth of arrays (CHIREDIS_MAX_DEPTH), and with it the recursion.
    private static func read(_ view: borrowing RedisReplyView, at index: inout Int, bytes: ByteBuffer) -> RedisValue {
        guard index < view.count else { return .null }
        let token = view[index]
        index += 1
        switch token.kind {
        case .null: return .null
        case .integer: return .integer(token.number)
        case .status: return .status(view.text(token))
        case .error: return .error(view.text(token))
        case .string: return .string(view.bytes(token, in: bytes))
        case .array:
            var values: [RedisValue] = []
            for _ in 0..<max(token.number, 0) { values.append(read(view, at: &index, bytes: bytes)) }
            return .array(values)
        }
    }
}
