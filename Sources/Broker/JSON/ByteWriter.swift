public import NIOCore

/// Writes into memory that may be too small: bytes that do not fit are counted but not written.
///
/// A `ByteBuffer` checks uniqueness and capacity on every write. Text that is assembled from many small pieces pays for
/// that only once, through `ByteBuffer.writeText`.
@usableFromInline
package struct ByteWriter {
    @usableFromInline let memory: UnsafeMutableRawBufferPointer
    /// Number of bytes so far, including those that did not fit.
    @usableFromInline package internal(set) var count = 0

    @inlinable
    package init(_ memory: UnsafeMutableRawBufferPointer) {
        self.memory = memory
    }

    @inlinable
    @inline(__always)
    package mutating func byte(_ byte: UInt8) {
        if self.count < self.memory.count {
            self.memory[self.count] = byte
        }
        self.count += 1
    }

    @inlinable
    package mutating func text(_ text: StaticString) {
        text.withUTF8Buffer { self.bytes(UnsafeRawBufferPointer($0)) }
    }

    @inlinable
    package mutating func bytes(_ bytes: Span<UInt8>, _ range: Range<Int>) {
        bytes.extracting(range).withUnsafeBytes { self.bytes($0) }
    }

    @inlinable
    package mutating func bytes(_ bytes: UnsafeRawBufferPointer) {
        if bytes.count <= self.memory.count - self.count {
            UnsafeMutableRawBufferPointer(rebasing: self.memory[self.count...]).copyMemory(from: bytes)
        }
        self.count += bytes.count
    }

    /// Writes a number in decimal.
    package mutating func decimal(_ number: UInt64) {
        var length = 1
        var rest = number
        while rest > 9 {
            rest /= 10
            length += 1
        }
        if length <= self.memory.count - self.count {
            rest = number
            for at in stride(from: self.count + length - 1, through: self.count, by: -1) {
                self.memory[at] = UInt8(ascii: "0") + UInt8(rest % 10)
                rest /= 10
            }
        }
        self.count += length
    }

    @inlinable
    package mutating func repeating(_ byte: UInt8, count: Int) {
        for _ in 0..<max(count, 0) {
            self.byte(byte)
        }
    }
}

extension ByteBuffer {
    /// Appends what `body` writes. Appends nothing when it throws.
    ///
    /// - Parameters:
    ///   - expected: the likely number of bytes. If it is too low, `body` is called a second time; if too high, memory is wasted.
    ///   - body: writes the text; must write the same text each time it is called.
    @inlinable
    package mutating func writeText<Failure: Error>(
        expecting expected: Int,
        _ body: (inout ByteWriter) throws(Failure) -> Void
    ) throws(Failure) {
        var size = expected
        var isComplete = false
        while !isComplete {
            try self.writeWithUnsafeMutableBytes(minimumWritableBytes: size) { (memory) throws(Failure) -> Int in
                var writer = ByteWriter(memory)
                try body(&writer)
                size = writer.count
                isComplete = size <= memory.count
                return isComplete ? size : 0
            }
        }
    }
}
