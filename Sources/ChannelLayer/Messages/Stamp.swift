import Broker
import NIOCore

/// What the broker writes in front of a message: its position, ` live` after it when no log has the message, and ` copy` last
/// in what is published for Django's pub/sub layer.
struct Stamp: Equatable {
    let position: Position
    let isLogged: Bool
    /// Gateways have the message already.
    let isCopy: Bool

    private static let live: StaticString = " live"
    private static let copy: StaticString = " copy"

    /// nil: an entry under the broker's name that the broker has not written.
    init?(_ text: ByteBuffer) {
        let stamp = text.withUnsafeReadableBytes { Stamp(utf8: $0.bindMemory(to: UInt8.self)) }
        guard let stamp else { return nil }
        self = stamp
    }

    private init?(utf8 bytes: UnsafeBufferPointer<UInt8>) {
        var rest = bytes
        isCopy = Self.take(Self.copy, from: &rest)
        isLogged = !Self.take(Self.live, from: &rest)
        guard let position = Position(utf8: rest) else { return nil }
        self.position = position
    }

    /// Takes the word off the end. A position ends with a digit, so that one byte nearly always decides.
    private static func take(_ word: StaticString, from bytes: inout UnsafeBufferPointer<UInt8>) -> Bool {
        let suffix = UnsafeBufferPointer(start: word.utf8Start, count: word.utf8CodeUnitCount)
        guard bytes.last == suffix.last, bytes.count > suffix.count, bytes.suffix(suffix.count).elementsEqual(suffix)
        else { return false }
        bytes = UnsafeBufferPointer(rebasing: bytes.dropLast(suffix.count))
        return true
    }
}
