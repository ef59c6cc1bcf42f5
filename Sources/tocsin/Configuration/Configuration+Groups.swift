import Broker

/// The entries of `groups:`.
extension Configuration {
    /// - Parameter targets: those under `escalations:`.
    static func policy(
        _ reader: ConfigurationReader, _ targets: [String: TargetKind]
    ) throws(ConfigurationError) -> GroupPolicy {
        guard let match = try reader.text("match"), !match.isEmpty else {
            throw reader.bad("match", "is missing: a pattern of group names, like \"*isInsufficient\"")
        }
        guard match.ranges(of: "{user}").count <= 1 else {
            throw reader.bad("match", "names {user} twice: a group belongs to one user")
        }
        var policy = GroupPolicy(match: match)
        let history = try reader.section("history")
        if let size = try history.integer("size", 0...1_000_000) { policy.historySize = size }
        if let ttl = try history.duration("ttl") {
            guard (1000...315_360_000_000).contains(ttl) else { throw history.bad("ttl", "must be 1s to 3650d") }
            policy.historyTTL = ttl / 1000
        }
        try history.finish()
        if let flag = try reader.flag("join_leave") { policy.joinLeave = flag }
        policy.tracking = try tracking(reader, historySize: policy.historySize)
        policy.escalation = try escalation(reader.section("escalate"), policy.tracking, targets)
        try reader.finish()
        return policy
    }

    private static func tracking(
        _ reader: ConfigurationReader, historySize: Int
    ) throws(ConfigurationError) -> Tracking {
        let receipts = try reader.flag("receipts"), inbox = try reader.flag("inbox")
        guard inbox == true else { return receipts == true ? .receipts : .none }
        if receipts == false { throw reader.bad("receipts", "is false, and an inbox is made of receipts: remove it") }
        guard historySize > 0 else {
            throw reader.bad("inbox", "needs a history: set history.size to 1 or more")
        }
        return .inbox
    }

    private static func escalation(
        _ reader: ConfigurationReader, _ tracking: Tracking, _ known: [String: TargetKind]
    ) throws(ConfigurationError) -> EscalationPolicy? {
        let after = try reader.duration("after"), seen = try reader.text("unless"), targets = try reader.texts("to")
        try reader.finish()
        guard let after else {
            if seen != nil || targets != nil {
                throw reader.bad("after", "is missing: how long a user has, like 5m")
            }
            return nil
        }
        guard (1000...315_360_000_000).contains(after) else { throw reader.bad("after", "must be 1s to 3650d") }
        guard tracking != .none else {
            throw reader.bad(
                "after", "needs receipts: true, or inbox: true: who has the message is not known otherwise")
        }
        var policy = EscalationPolicy(after: after / 1000, targets: targets)
        if let seen {
            guard let unless = SendOptions.Seen(rawValue: seen) else {
                throw reader.bad("unless", "must be delivered or read, not \"\(seen)\"")
            }
            guard unless == .delivered || tracking == .inbox else {
                throw reader.bad("unless", "is read, which only an inbox knows: set inbox: true, or unless: delivered")
            }
            policy.unless = unless
        }
        for target in targets ?? [] where known[target] == nil {
            throw reader.bad("to", "names \"\(target)\", which is not under escalations:")
        }
        return policy
    }
}
