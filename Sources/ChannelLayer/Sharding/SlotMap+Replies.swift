public import RedisClient

extension SlotMap {
    /// A server's answer that the slot of a command's keys is on another one.
    public struct Redirect: Sendable, Equatable {
        public enum Kind: String, Sendable {
            /// The other server has the slot from now on.
            case moved = "MOVED"
            /// The other server has this key: the slot is being moved there.
            case ask = "ASK"
        }

        public var kind: Kind
        public var slot: Int
        public var server: RedisEndpoint

        public init(_ kind: Kind, _ slot: Int, to server: RedisEndpoint) {
            self.kind = kind
            self.slot = slot
            self.server = server
        }

        /// Reads `MOVED 3999 127.0.0.1:6381` and `ASK 3999 127.0.0.1:6381`.
        ///
        /// - Parameters:
        ///   - message: an error's text.
        ///   - source: the server that answered. A redirect without a host is to another port of its host.
        /// - Returns: nil when the error is not a redirect.
        public init?(_ message: String, from source: RedisEndpoint) {
            let words = message.split(separator: " ")
            guard words.count == 3, let kind = Kind(rawValue: String(words[0])), let slot = Int(words[1]),
                (0..<HashSlot.count).contains(slot), let colon = words[2].lastIndex(of: ":"),
                let port = Int(words[2][words[2].index(after: colon)...])
            else { return nil }
            // IPv6 addresses have no brackets here.
            let host = String(words[2][..<colon])
            guard let server = RedisEndpoint(host: host.isEmpty ? source.host : host, port: port) else { return nil }
            self.init(kind, slot, to: server)
        }
    }

    /// Reads the reply to `CLUSTER SLOTS`: `[first, last, [host, port, …], replica…]` for each run of slots.
    ///
    /// - Parameter source: the server that answered. A host that is null or empty is its own.
    /// - Returns: nil: the reply has another form, or a slot that does not exist.
    public static func assignments(_ reply: RedisValue, from source: RedisEndpoint) -> [Assignment]? {
        guard let rows = reply.array, rows.count <= HashSlot.count else { return nil }
        var assignments: [Assignment] = []
        for row in rows {
            guard let row = row.array, row.count >= 3, let first = row[0].int, let last = row[1].int,
                0 <= first, first <= last, last < HashSlot.count,
                let primary = row[2].array, primary.count >= 2, let port = primary[1].int
            else { return nil }
            let host = primary[0].text ?? ""
            guard let server = RedisEndpoint(host: host.isEmpty ? source.host : host, port: port) else { return nil }
            assignments.append(Assignment(first...last, at: server))
        }
        return assignments
    }
}
