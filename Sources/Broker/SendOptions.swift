/// Optional terms of a message: the options of `group_send` (redis/README.md).
public struct SendOptions: Sendable, Equatable {
    /// When a message is sent that is not sent at once.
    public enum Time: Sendable, Equatable {
        /// Seconds from now, by Redis' clock; at most ten years.
        case after(Double)
        /// Seconds since 1970.
        case at(Double)
    }

    /// What a user must have done with a message for it not to be escalated.
    public enum Seen: String, Sendable, CaseIterable { case delivered, read }

    public struct Escalation: Sendable, Equatable {
        /// Seconds; 0: never, whatever the policy says.
        public var after: Int
        /// nil: the policy's, otherwise `read` in an inbox and `delivered` elsewhere.
        public var unless: Seen?

        public init(after: Int, unless: Seen? = nil) {
            self.after = after
            self.unless = unless
        }
    }

    /// RFC 8030, section 5.3.
    public enum Urgency: String, Sendable, CaseIterable {
        case veryLow = "very-low"
        case low, normal, high
    }

    /// Time to live in seconds, 1 to 315,360,000.
    public var ttl: Int?
    /// Idempotency key, 1 to 200 bytes: a repeated key sends nothing and returns the first answer.
    public var key: String?
    /// Messages that the group keeps, 0 to 1,000,000; nil: the policy's number.
    public var size: Int?
    /// 1 to 200 bytes: readers of the log see only the newest message of a key.
    public var collapse: String?
    public var urgency: Urgency?
    public var escalation: Escalation?
    public var time: Time?

    public init(ttl: Int? = nil, key: String? = nil) {
        self.ttl = ttl
        self.key = key
    }
}

/// The answer to a send.
public enum SendAnswer: Sendable, Equatable {
    case sent(Receipt)
    /// Kept for later, under this id.
    case scheduled(String)

    /// Writes the entries of the answer: those of the receipt, or `"scheduled":"ID"`.
    public func write(to json: inout JSONWriter) {
        switch self {
        case .sent(let receipt): receipt.write(to: &json)
        case .scheduled(let id): json.string("scheduled", id)
        }
    }
}
