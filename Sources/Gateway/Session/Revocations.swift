import NIOCore

/// Users whose connections were recently ended. A handshake in progress at that moment must not slip through, because its
/// login was checked before.
///
/// Lives on its shard's loop.
struct Revocations {
    /// Longer than any handshake can take.
    private static let memory = TimeAmount.seconds(60)
    private var ended: [String: NIODeadline] = [:]

    mutating func end(_ user: String, at now: NIODeadline) { ended[user] = now }

    func contains(_ user: String, since began: NIODeadline) -> Bool { ended[user].map { $0 >= began } ?? false }

    /// Drops entries older than any handshake in progress.
    mutating func forget(at now: NIODeadline) {
        if !ended.isEmpty { ended = ended.filter { $0.value + Self.memory > now } }
    }
}
