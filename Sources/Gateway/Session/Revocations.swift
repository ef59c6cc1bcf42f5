import NIOCore

/// The users whose connections were ended lately: a handshake that was under way then must not slip through, since its
/// login was looked at before.
///
/// Lives on its shard's loop.
struct Revocations {
    /// Longer than any handshake may take.
    private static let memory = TimeAmount.seconds(60)
    private var ended: [String: NIODeadline] = [:]

    mutating func end(_ user: String, at now: NIODeadline) { ended[user] = now }

    func contains(_ user: String, since began: NIODeadline) -> Bool { ended[user].map { $0 >= began } ?? false }

    /// Forgets what no handshake can be concerned with any more.
    mutating func forget(at now: NIODeadline) {
        if !ended.isEmpty { ended = ended.filter { $0.value + Self.memory > now } }
    }
}
