import CSockets
import Glibc
import NIOCore

/// The destination of a write queue.
protocol ByteSink {
    /// - Returns: the number of bytes taken; or the system call's error, negated.
    func send(_ bytes: UnsafeRawBufferPointer) -> Int
    func send(_ pieces: UnsafeBufferPointer<iovec>) -> Int
}

struct Descriptor: ByteSink {
    let number: CInt

    func send(_ bytes: UnsafeRawBufferPointer) -> Int { csockets_send(number, bytes.baseAddress, bytes.count) }
    func send(_ pieces: UnsafeBufferPointer<iovec>) -> Int {
        csockets_send_all(number, UnsafeMutablePointer(mutating: pieces.baseAddress), CInt(pieces.count))
    }
}

/// Bytes queued for one descriptor, in order. A value on its socket's loop.
///
/// The usual case of one buffer needs no allocation; several leave in one system call.
struct WriteQueue {
    private(set) var byteCount = 0
    private var first: ByteBuffer?
    private var rest: CircularBuffer<ByteBuffer>?

    /// Maximum buffers per system call; more gain nothing.
    private static let maximumPieces = 64

    mutating func append(_ bytes: ByteBuffer) {
        byteCount += bytes.readableBytes
        if first == nil {
            first = bytes
        } else if rest == nil {
            rest = CircularBuffer(initialCapacity: 4)
            rest!.append(bytes)
        } else {
            rest!.append(bytes)
        }
    }

    /// Hands as much as possible to the kernel.
    ///
    /// - Returns: whether everything was sent.
    /// - Throws: `SocketError` when the connection has failed.
    mutating func send(to sink: some ByteSink) throws(SocketError) -> Bool {
        while let first {
            let isAlone = rest == nil
            let count =
                isAlone
                ? first.withUnsafeReadableBytes { sink.send($0) }
                : sendPieces(to: sink)
            if count < 0 {
                if count == -Int(EAGAIN) { return false }
                if count == -Int(EINTR) { continue }
                throw SocketError(code: CInt(-count))
            }
            if isAlone && count == byteCount {
                self.first = nil
                byteCount = 0
                return true
            }
            drop(count)
        }
        return true
    }

    private func sendPieces(to sink: some ByteSink) -> Int {
        let count = min(1 + rest!.count, Self.maximumPieces)
        return withUnsafeTemporaryAllocation(of: iovec.self, capacity: count) { pieces in
            // The queue retains the buffers, so their bytes stay in place until the call returns.
            for index in 0..<count {
                (index == 0 ? first! : rest![offset: index - 1]).withUnsafeReadableBytes { bytes in
                    pieces[index] = iovec(
                        iov_base: UnsafeMutableRawPointer(mutating: bytes.baseAddress), iov_len: bytes.count)
                }
            }
            return sink.send(UnsafeBufferPointer(pieces))
        }
    }

    private mutating func drop(_ count: Int) {
        byteCount -= count
        var left = count
        while let length = first?.readableBytes, left >= length {
            left -= length
            first = rest?.popFirst()
            if first == nil { break }
        }
        if rest?.isEmpty == true { rest = nil }
        first?.moveReaderIndex(forwardBy: left)
    }
}
