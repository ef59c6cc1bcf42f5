import CHiredis
import NIOCore

// The only Swift file that uses C pointers of hiredis.

/// One value of a reply, still in the reader's memory; see `RedisReplyView`.
struct RedisReplyToken {
    enum Kind { case string, array, integer, null, status, error }
    let kind: Kind
    /// An integer's value, an array's element count, otherwise the length in bytes.
    let number: Int64
    fileprivate let offset: Int

    fileprivate var hasBytes: Bool {
        switch kind {
        case .string, .status, .error: true
        case .array, .integer, .null: false
        }
    }
}

/// A complete reply in the reader's memory: flat, not copied, and valid only inside the closure that receives it.
struct RedisReplyView: ~Copyable {
    fileprivate let reply: chiredis_reply

    var count: Int { reply.token_count }

    subscript(index: Int) -> RedisReplyToken {
        precondition(index < reply.token_count)
        let token = reply.tokens[index]
        let kind: RedisReplyToken.Kind =
            switch Int(token.type) {
            case CHIREDIS_STRING: .string
            case CHIREDIS_ARRAY: .array
            case CHIREDIS_INTEGER: .integer
            case CHIREDIS_STATUS: .status
            case CHIREDIS_ERROR: .error
            default: .null
            }
        return RedisReplyToken(kind: kind, number: token.number, offset: token.offset)
    }

    /// The bytes are empty for a token without any: an integer, a null, an array.
    func withBytes<R>(of token: RedisReplyToken, _ body: (UnsafeRawBufferPointer) -> R) -> R {
        guard token.hasBytes else { return body(UnsafeRawBufferPointer(start: nil, count: 0)) }
        return body(UnsafeRawBufferPointer(start: reply.bytes.map { $0 + token.offset }, count: Int(token.number)))
    }

    func text(_ token: RedisReplyToken) -> String {
        withBytes(of: token) { String(decoding: $0, as: UTF8.self) }
    }

    /// All strings of the reply concatenated in one new buffer, from which `bytes(_:in:)` takes slices.
    func copyBytes() -> ByteBuffer {
        ByteBuffer(bytes: UnsafeRawBufferPointer(start: reply.bytes, count: reply.byte_count))
    }

    func bytes(_ token: RedisReplyToken, in copy: ByteBuffer) -> ByteBuffer {
        token.hasBytes ? copy.getSlice(at: token.offset, length: Int(token.number)) ?? ByteBuffer() : ByteBuffer()
    }
}

/// Owns a hiredis reply reader, and frees it when the value ends. RESP2.
///
/// Not thread-safe: used on the event loop of the connection that feeds it.
struct RedisReplyReader: ~Copyable {
    private let reader: OpaquePointer

    /// - Parameter maximumBytes: a reply whose strings are longer in total is a protocol error.
    init(maximumBytes: Int) {
        guard let reader = chiredis_reader_create(maximumBytes) else { fatalError("out of memory") }
        self.reader = reader
    }

    deinit { chiredis_reader_free(reader) }

    func feed(_ bytes: ByteBuffer) throws(RedisError) {
        let status = bytes.withUnsafeReadableBytes { bytes in
            bytes.isEmpty ? 0 : chiredis_reader_feed(reader, bytes.baseAddress, bytes.count)
        }
        if status != 0 { throw failure() }
    }

    /// Calls `body` with the next complete reply; nil when more bytes are needed.
    func next<R>(_ body: (borrowing RedisReplyView) -> R) throws(RedisError) -> R? {
        var reply = chiredis_reply()
        switch chiredis_reader_next(reader, &reply) {
        case 1: return body(RedisReplyView(reply: reply))
        case 0: return nil
        default: throw failure()
        }
    }

    private func failure() -> RedisError {
        RedisError(
            .protocolViolation,
            "Redis sent something that is not RESP2: \(String(cString: chiredis_reader_error(reader)))")
    }
}
