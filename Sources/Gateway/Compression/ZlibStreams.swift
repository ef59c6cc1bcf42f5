import CZlib
import NIOCore

/// Compresses, one message after the other, each by itself: zlib's stream is used again, its memory of the message before
/// is not.
///
/// Belongs to one event loop.
final class DeflateStream {
    /// At its own address: zlib's state points back to it.
    private let stream: UnsafeMutablePointer<z_stream>

    /// - Parameters:
    ///   - level: 1 to 9.
    ///   - windowBits: 9 to 15; zlib makes no raw stream with 8.
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

    /// Appends the input in blocks of which none is the last, up to a byte's end: an empty stored block, `00 00 FF FF`,
    /// comes at the end.
    func compress(_ input: ByteBuffer, into output: inout ByteBuffer) {
        deflateReset(stream)
        input.withUnsafeReadableBytes { source in
            stream.setInput(source)
            repeat {
                // One turn, as a rule. zlib wants more than six bytes of room, or it repeats the empty block.
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

/// Decompresses, one message after the other, each by itself, and no more of it than was asked for.
///
/// Belongs to one event loop.
final class InflateStream {
    enum Failure: Error {
        /// These are no DEFLATE blocks.
        case corrupt
        /// The last block has no end.
        case truncated
        /// More than the bytes that are allowed.
        case tooBig
    }

    private let stream: UnsafeMutablePointer<z_stream>

    /// With the largest window, which inflates whatever was made with a smaller one.
    convenience init() { self.init(hasHeader: false) }

    /// - Parameter hasHeader: and a checksum at the end (RFC 1950).
    private init(hasHeader: Bool) {
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        let result = hasHeader ? czlib_inflate_init_zlib(stream, 15) : czlib_inflate_init(stream, 15)
        precondition(result == Z_OK, "inflateInit2 says \(result): out of memory")
    }

    /// What Python's `zlib.compress` wrote, whole, and nothing after it.
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

    /// The message in blocks that the sender ended with an empty stored one, of which it left out `00 00 FF FF`.
    ///
    /// A block may say that it is the last one (BFINAL); blocks after it are a stream of their own (RFC 7692 section
    /// 7.2.3.4). Where the last one ends the message, the sender may have left out the empty block.
    func decompress(_ input: ByteBuffer, maximumBytes: Int) throws(Failure) -> ByteBuffer {
        inflateReset(stream)
        var output = ByteBufferAllocator().buffer(capacity: min(4 * input.readableBytes, maximumBytes) + 1)
        if try feed(input, into: &output, maximumBytes: maximumBytes) == .ended { return output }
        if try feed(Self.leftOut, into: &output, maximumBytes: maximumBytes) == .goesOn {
            // zlib's data_type: 128 between two blocks, and in the lowest six the bits that are left of the last byte.
            guard stream.pointee.data_type & 0b1011_1111 == 128 else { throw .truncated }
        }
        return output
    }

    private static let leftOut = ByteBuffer(bytes: [0x00, 0x00, 0xFF, 0xFF])

    private enum End { case ended, goesOn }

    /// ended: the input ended with a block that says that it is the last one.
    ///
    /// - Parameter mayGoOn: another stream may follow one that has ended.
    private func feed(
        _ input: ByteBuffer, into output: inout ByteBuffer, maximumBytes: Int, mayGoOn: Bool = true
    ) throws(Failure) -> End {
        let result = input.withUnsafeReadableBytes { source -> Result<End, Failure> in
            stream.setInput(source)
            while true {
                var result = Z_OK
                // One byte more than is allowed, to see that there are more.
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
                    // All is read, and there was room for more than it gave.
                    if stream.pointee.avail_in == 0, stream.pointee.avail_out > 0 { return .success(.goesOn) }
                default: return .failure(.corrupt)
                }
            }
        }
        return try result.get()
    }
}

extension UnsafeMutablePointer<z_stream> {
    /// The bytes must stay where they are until zlib has been called.
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
