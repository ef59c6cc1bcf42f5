/// The settings that `groups:` in the configuration gives to groups whose name matches: history and presence.
public struct GroupPolicy: Sendable, Equatable {
    /// A glob: `*` matches any run of characters, `?` a single one. `{user}`, once at most, matches one character or more and
    /// names the group's owner. The first policy that matches is used.
    public var match: String
    /// Number of messages kept. 0: live only. Default 100.
    public var historySize: Int
    /// Seconds that messages are kept. Default one day.
    public var historyTTL: Int

    /// Whether centrifuge clients get join and leave events. Default: no.
    public var joinLeave = false
    /// Default: nothing is kept of users.
    public var tracking = Tracking.none
    /// nil: messages are not escalated, unless their send says so.
    public var escalation: EscalationPolicy?

    public static let defaultSize = 100
    public static let defaultTTL = 86_400

    public init(match: String, historySize: Int = Self.defaultSize, historyTTL: Int = Self.defaultTTL) {
        self.match = match
        self.historySize = historySize
        self.historyTTL = historyTTL
    }
}

/// What happens to a message that a user has not seen in time (`escalate:`).
public struct EscalationPolicy: Sendable, Equatable {
    /// Seconds after the send.
    public var after: Int
    /// What the user must have done with it by then. nil: `read` in an inbox, `delivered` elsewhere.
    public var unless: SendOptions.Seen?
    /// Names of targets under `escalations:`. nil: all.
    public var targets: [String]?

    public init(after: Int, unless: SendOptions.Seen? = nil, targets: [String]? = nil) {
        self.after = after
        self.unless = unless
        self.targets = targets
    }
}

/// The kind of target that an escalation is delivered to.
public enum TargetKind: String, Sendable, CaseIterable {
    case webhook
    case webPush = "web_push"
}
