public import NIOCore

/// One delivery of an escalation to one target, claimed for a limited time.
public struct EscalationTask: Sendable, Equatable {
    /// Unique per escalation and target (and push subscription); the same in all tries.
    public let id: String
    /// The escalation's id, which all tries share: the header `webhook-id`.
    public let escalation: String
    /// The configured target's name.
    public let target: String
    /// 1 for the first.
    public let attempt: Int
    /// When the escalation was created, in seconds since 1970.
    public let since: Double
    public let group: String
    public let user: String
    public let position: String
    /// For a webhook the exact JSON body to post, for Web Push the payload, also JSON.
    public let body: ByteBuffer
    /// Web Push only.
    public let subscription: PushSubscription?
    /// Web Push only: for how many seconds since the escalation it is worth delivering. nil: a day.
    public let ttl: Int?
    /// Web Push only: `very-low`, `low`, `normal` or `high` (RFC 8030 section 5.3). nil: the push service's default.
    public let urgency: String?
    /// Web Push only: a later message with the same topic replaces this one (RFC 8030 section 5.4). Any text.
    public let topic: String?

    public init(
        id: String, escalation: String, target: String, attempt: Int, since: Double, group: String, user: String,
        position: String, body: ByteBuffer, subscription: PushSubscription? = nil, ttl: Int? = nil,
        urgency: String? = nil, topic: String? = nil
    ) {
        self.id = id
        self.escalation = escalation
        self.target = target
        self.attempt = attempt
        self.since = since
        self.group = group
        self.user = user
        self.position = position
        self.body = body
        self.subscription = subscription
        self.ttl = ttl
        self.urgency = urgency
        self.topic = topic
    }
}

/// What became of a try.
public enum EscalationResult: Sendable, Equatable {
    /// The target has it.
    case done
    /// The push subscription does not exist any more: remove it.
    case gone
    /// To be claimed again after so many seconds, as the next attempt.
    case retry(after: Double, reason: String)
    /// Given up. The reason is meant for people, and contains no secret and no endpoint.
    case dead(reason: String)
}

/// The escalations that are due, shared by all senders of a fleet.
///
/// Delivery is at least once: a task whose `finish` does not arrive is claimed again when its claim expires. A claim has to last
/// longer than twice the target's time-out plus five seconds: a task may wait that long for a slot before it is sent.
public protocol EscalationQueue: Sendable {
    /// - Returns: at most `limit` tasks that are due, each claimed by nobody else.
    func claim(target: String, limit: Int) async throws -> [EscalationTask]
    /// Called once for each claimed task, unless the process ends before.
    func finish(_ task: EscalationTask, _ result: EscalationResult) async throws
}
