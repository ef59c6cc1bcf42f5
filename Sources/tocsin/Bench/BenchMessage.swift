import NIOCore

/// The messages that a bench publishes: the run's id, a number and the time at which the message was due, padded to a size.
///
///     {"type":"bench","bench":"9f3c00d2a1b4e567:12:1234567890","pad":"xxx"}
///
/// Number 0 is the first message, which only shows that the group is the clients' own. Literal bytes: what is measured should not
/// wait for its measuring, and a message is known by the bytes that it begins with.
struct BenchMessage: Sendable {
    /// The beginning of every message of this run, and of no others.
    let prefix: [UInt8]
    private let size: Int

    private static let padding = #"","pad":""#
    private static let end = #""}"#

    /// - Throws: `CommandFailure` when the size is too small for a number and a time.
    init(run: UInt64, size: Int) throws {
        let hex = String(run, radix: 16)
        prefix = Array((#"{"type":"bench","bench":""# + String(repeating: "0", count: 16 - hex.count) + hex + ":").utf8)
        let least = prefix.count + 2 * 20 + 1 + Self.padding.count + Self.end.count
        guard size >= least else {
            throw CommandFailure("--bytes wants at least \(least): a number and a time must fit in")
        }
        self.size = size
    }

    func encoded(number: UInt64, due: NIODeadline) -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.reserveCapacity(size)
        buffer.writeBytes(prefix)
        buffer.writeString("\(number):\(due.uptimeNanoseconds)\(Self.padding)")
        buffer.writeRepeatingByte(UInt8(ascii: "x"), count: size - buffer.readableBytes - Self.end.utf8.count)
        buffer.writeString(Self.end)
        return buffer
    }

    /// nil: not a message of this run.
    func decoded(_ bytes: ByteBufferView) -> (number: UInt64, due: UInt64)? {
        guard bytes.starts(with: prefix) else { return nil }
        var place = bytes.startIndex + prefix.count
        func digits() -> UInt64? {
            var value: UInt64 = 0
            let first = place
            while place < bytes.endIndex, case let digit = bytes[place] &- UInt8(ascii: "0"), digit < 10 {
                value = value &* 10 &+ UInt64(digit)
                place += 1
            }
            return place > first ? value : nil
        }
        guard let number = digits(), place < bytes.endIndex, bytes[place] == UInt8(ascii: ":") else { return nil }
        place += 1
        guard let due = digits() else { return nil }
        return (number, due)
    }
}
