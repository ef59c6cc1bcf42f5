import Broker
import NIOCore

/// What the broker writes in front of a message: its position, and ` live` after it when no log has the message.
struct Stamp: Equatable {
    let position: Position
    let isLogged: Bool

    private static let live: StaticString = " live"

    /// nil: somebody else's entry under the broker's name.
    init?(_ text: ByteBuffer) {
        let stamp = text.withUnsafeReadableBytes { Stamp(utf8: $0.bindMemory(to: UInt8.self)) }
        guard let stamp else { return nil }
        self = stamp
    }

    private init?(utf8 bytes: UnsafeBufferPointer<UInt8>) {
        let suffix = UnsafeBufferPointer(start: Self.live.utf8Start, count: Self.live.utf8CodeUnitCount)
        // A position ends with a digit, so one byte tells them apart.
        isLogged = bytes.last != suffix.last
        let end = isLogged ? bytes.count : bytes.count - suffix.count
        guard end > 0, isLogged || bytes[end...].elementsEqual(suffix),
            let position = Position(utf8: UnsafeBufferPointer(rebasing: bytes[..<end]))
        else { return nil }
        self.position = position
    }
}
