package import NIOCore

/// A range of bytes with parts replaced or removed.
///
/// Changes must be made from front to back. Without changes nothing is allocated, and the result is a slice of the source;
/// the first change starts a copy of the same size.
///
///     source  { " _ _ t o c s i n _ _ " : " P " , " a " : 1 }
///             └┘└───────── replaced ───────────┘└─ pending ─┘
///             copied                            ^ next
package struct ByteSplice: ~Copyable {
    /// A state to return to when bytes that were passed turn out to be unwanted.
    package struct Mark {
        fileprivate var next: Int
        fileprivate var copiedBytes: Int
    }

    private var copy: ByteBuffer?
    /// Offset in the source of the first byte that is neither copied nor replaced.
    private var next: Int

    /// - Parameter start: offset in the source at which the range begins.
    package init(from start: Int = 0) {
        self.next = start
    }

    /// Replaces a range by `text`. It must not begin before the end of an earlier change.
    package mutating func replace(_ range: Range<Int>, of source: Span<UInt8>, with text: StaticString = "") {
        var copy = self.takeCopy() ?? ByteBufferAllocator().buffer(capacity: source.count)
        if self.next < range.lowerBound {
            copy.writeBytes(source.bytes.extracting(self.next..<range.lowerBound))
        }
        if text.utf8CodeUnitCount > 0 {
            copy.writeStaticString(text)
        }
        self.copy = copy
        self.next = range.upperBound
    }

    /// The current state, for `rewind(to:)`, which may be used any number of times.
    package var mark: Mark {
        Mark(next: self.next, copiedBytes: self.copy?.writerIndex ?? 0)
    }

    /// Undoes all changes since `mark` was taken.
    package mutating func rewind(to mark: Mark) {
        self.next = mark.next
        self.copy?.moveWriterIndex(to: mark.copiedBytes)
    }

    /// The bytes from the start up to the offset `end`, with all changes applied.
    ///
    /// - Parameter source: the buffer whose readable bytes the changes refer to.
    package consuming func finish(at end: Int, of source: ByteBuffer) -> ByteBuffer {
        let pending = self.next..<max(self.next, end)
        guard var copy = self.takeCopy() else {
            return source.getSlice(at: source.readerIndex + pending.lowerBound, length: pending.count) ?? ByteBuffer()
        }
        copy.writeBytes(source.readableBytesSpan.extracting(pending))
        return copy
    }

    /// Moves the copy out, so that it is uniquely referenced and writing does not copy it again.
    private mutating func takeCopy() -> ByteBuffer? {
        defer { self.copy = nil }
        return self.copy
    }
}
