import CZlib
import NIOCore

/// Compresses messages independently of each other. zlib's stream is reused, its window is reset for each message.
///
/// Used only on one event loop.
final class DeflateStream {
    /// At a fixed address, because zlib's state points back to it.
    private let stream: UnsafeMutablePointer<z_stream>

    /// - Parameters:
    ///   - level: 1 to 9.
    ///   - windowBits: 9 to 15; zlib has no raw stream with 8.
    init(level: Int, windowBits: Int) {
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        let result = czlib_deflate_init(stream, CInt(level), CInt(windowBits))
        precondition(result == Z_OK, "deflateInit2 says \(result): out of memory, or a parameter that is not checked")
    }

    deinit {
        deflateEnd(stream)
        stream.deallocate()
    }

    /// Appends the input as non-final blocks, flushed to a byte boundary: the output ends with an empty stored block,
    /// `00 00 FF FF`.
    func compress(_ input: ByteBuffer, into output: inout ByteBuffer) {
        deflateReset(stream)
        input.withUnsafeReadableBytes { source in
            stream.setInput(source)
            repeat {
                // Usually one turn. zlib needs more than six bytes of room, or it emits the empty block twice.
                let room = Int(deflateBound(stream, uLong(stream.pointee.avail_in))) + 16
                output.writeWithUnsafeMutableBytes(minimumWritableBytes: room) { target in
                    stream.setOutput(target)
                    let result = deflate(stream, Z_SYNC_FLUSH)
                    precondition(result == Z_OK || result == Z_BUF_ERROR, "deflate says \(result)")
                    return target.count - Int(stream.pointee.avail_out)
                }
            } while stream.pointee.avail_out == 0
        }
    }
}

/// Decompresses messages independently of each other, up to a given size.
///
/// Used only on one event loop.
final class InflateStream {
    enum Failure: Error {
        /// The input is not valid DEFLATE data.
        case corrupt
        /// The input ends inside a block.
        case truncated
        /// The output exceeds the allowed size.
        case tooBig
    }

    private let stream: UnsafeMutablePointer<z_stream>

    /// A raw stream with the largest window, which inflates data made with any smaller one.
    convenience init() { self.init(hasHeader: false) }

    /// - Parameter hasHeader: expect a zlib header and trailing checksum (RFC 1950).
    private init(hasHeader: Bool) {
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        let result = hasHeader ? czlib_inflate_init_zlib(stream, 15) : czlib_inflate_init(stream, 15)
        precondition(result == Z_OK, "inflateInit2 says \(result): out of memory")
    }

    /// Inflates the complete output of Python's `zlib.compress`; trailing bytes are an error.
    static func zlib(_ input: [UInt8], maximumBytes: Int) throws(Failure) -> [UInt8] {
        let inflating = InflateStream(hasHeader: true)
        var output = ByteBufferAllocator().buffer(capacity: min(4 * input.count, maximumBytes) + 1)
        let end = try inflating.feed(
            ByteBuffer(bytes: input), into: &output, maximumBytes: maximumBytes, mayGoOn: false)
        guard end == .ended else { throw .truncated }
        return Array(output.readableBytesView)
    }

    deinit {
        inflateEnd(stream)
        stream.deallocate()
    }

    /// Inflates one message, whose sender omitted the trailing `00 00 FF FF` of the final empty stored block.
    ///
    /// A block may be marked final (BFINAL); blocks after it form a new stream (RFC 7692 section 7.2.3.4). If a final block
    /// ends the message, the sender may have left out the empty block entirely.
    func decompress(_ input: ByteBuffer, maximumBytes: Int) throws(Failure) -> ByteBuffer {
        inflateReset(stream)
        var output = ByteBufferAllocator().buffer(capacity: min(4 * input.readableBytes, maximumBytes) + 1)
        if try feed(input, into: &output, maximumBytes: maximumBytes) == .ended { return output }
        if try feed(Self.leftOut, into: &output, maximumBytes: maximumBytes) == .goesOn {
            // zlib's data_type: 128 between two blocks; the lowest six bits count the unused bits of the last byte.
            guard stream.pointee.data_type & 0b1011_1111 == 128 else { throw .truncated }
        }
        return output
    }

    private static let leftOut = ByteBuffer(bytes: [0x00, 0x00, 0xFF, 0xFF])

    private enum End { case ended, goesOn }

    /// Inflates `input` into `output`. Returns `.ended` when the input ended exactly at the end of a final block.
    ///
    /// - Parameter mayGoOn: another stream may follow one that has ended.
    private func feed(
        _ input: ByteBuffer, into output: inout ByteBuffer, maximumBytes: Int, mayGoOn: Bool = true
    ) throws(Failure) -> End {
        let result = input.withUnsafeReadableBytes { source -> Result<End, Failure> in
            stream.setInput(source)
            while true {
                var result = Z_OK
                // One byte over the limit, to detect that there is more.
                let room = maximumBytes + 1 - output.readableBytes
                output.writeWithUnsafeMutableBytes(minimumWritableBytes: 1) { target in
                    let target = UnsafeMutableRawBufferPointer(rebasing: target.prefix(room))
                    stream.setOutput(target)
                    result = inflate(stream, Z_SYNC_FLUSH)
                    return target.count - Int(stream.pointee.avail_out)
                }
                guard output.readableBytes <= maximumBytes else { return .failure(.tooBig) }
                switch result {
                case Z_STREAM_END:
                    if stream.pointee.avail_in == 0 { return .success(.ended) }
                    guard mayGoOn else { return .failure(.corrupt) }
                    inflateReset(stream)
                case Z_OK, Z_BUF_ERROR:
                    // All input is consumed and the output buffer was not filled.
                    if stream.pointee.avail_in == 0, stream.pointee.avail_out > 0 { return .success(.goesOn) }
                default: return .failure(.corrupt)
                }
            }
        }
        return try result.get()
    }
}

extension UnsafeMutablePointer<z_stream> {
    /// The bytes must stay valid until zlib has been called.
    fileprivate func setInput(_ bytes: UnsafeRawBufferPointer) {
        // zlib reads next_in and does not write to it.
        pointee.next_in = UnsafeMutablePointer<Bytef>(mutating: bytes.baseAddress?.assumingMemoryBound(to: Bytef.self))
        pointee.avail_in = uInt(bytes.count)
    }

    fileprivate func setOutput(_ bytes: UnsafeMutableRawBufferPointer) {
        pointee.next_out = bytes.baseAddress?.assumingMemoryBound(to: Bytef.self)
        pointee.avail_out = uInt(bytes.count)
    }
}

@available(*, unavailable) extension DeflateStream: Sendable {}
@available(*, unavailable) extension InflateStream: Sendable {}
