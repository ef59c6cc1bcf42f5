import NIOCore

/// The newest messages of a group that were delivered as they came, not from the log.
///
/// Pub/sub brings each message once. A second one under the same position is the first again, or one of the two is a
/// stranger's: anybody who may publish to the group's channel can write any position into a message. A value without I/O.
struct LiveTrace: Sendable {
    /// More than a burst that arrives in the wrong order; older ones are not told apart any more.
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

    /// Whether another message was delivered under this position before.
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
