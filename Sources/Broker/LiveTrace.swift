import NIOCore

/// Remembers a group's newest messages that were delivered live rather than from the log.
///
/// Pub/sub delivers each message once. A second one with the same position is either a duplicate, or one of the two is
/// foreign: anybody who may publish to the group's channel can write any position. A value without I/O.
struct LiveTrace: Sendable {
    /// Larger than a burst that arrives out of order; older messages can no longer be told apart.
    static let capacity = 8

    private struct Entry: Sendable {
        var position: Position
        var fingerprint: Int
    }

    private var entries: ContiguousArray<Entry> = []
    private var next = 0

    mutating func delivered(_ publication: Publication, at position: Position) {
        let entry = Entry(position: position, fingerprint: Self.fingerprint(publication))
        if entries.count < Self.capacity {
            entries.append(entry)
        } else {
            entries[next] = entry
            next = (next + 1) % Self.capacity
        }
    }

    /// Whether a different message was delivered under this position before.
    func disputes(_ publication: Publication, at position: Position) -> Bool {
        guard let entry = entries.first(where: { $0.position == position }) else { return false }
        return entry.fingerprint != Self.fingerprint(publication)
    }

    private static func fingerprint(_ publication: Publication) -> Int {
        publication.json.withUnsafeReadableBytes { bytes in
            var hasher = Hasher()
            hasher.combine(bytes: bytes)
            return hasher.finalize()
        }
    }
}
