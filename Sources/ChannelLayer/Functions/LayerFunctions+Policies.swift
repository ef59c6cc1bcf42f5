import Broker
import NIOCore
import RedisClient

/// The answer of `policy_set`.
struct PolicyAnswer: Equatable, Sendable {
    /// Incremented with each change of the policies.
    let version: Int
    /// Whether this call changed the policies.
    let isChanged: Bool

    init?(_ reply: RedisValue) {
        guard let answer = reply.array, answer.count == 2, let version = answer[0].int, let changed = answer[1].int
        else {
            return nil
        }
        self.version = version
        isChanged = changed == 1
    }
}

extension LayerFunctions {
    /// Writes the group policies, which are in force only as stored in Redis.
    ///
    /// - Parameters:
    ///   - known: the version that the caller has seen last: a newer one is left as it is.
    ///   - layer: the settings of Django's layer; nil: the defaults.
    ///   - targets: of escalations; nil: none.
    func policySet(
        _ policies: [GroupPolicy], known: Int?, layer: ByteBuffer? = nil, targets: ByteBuffer? = nil
    ) -> FunctionCall<PolicyAnswer> {
        var call = FunctionCall(.policySet, read: PolicyAnswer.init)
        call.append(keys.prefix)
        call.append(GroupPolicy.rules(policies))
        if let known { call.append(known) } else if layer != nil || targets != nil { call.append("") }
        if let layer { call.append(layer) } else if targets != nil { call.append("{}") }
        if let targets { call.append(targets) }
        return call
    }

    /// The version of the library in Redis, and the oldest version that can work with it.
    var tocsinVersion: FunctionCall<LibraryVersion> {
        var call = FunctionCall(.tocsinVersion, read: LibraryVersion.init)
        call.append("COMPATIBLE")
        return call
    }
}

extension GroupPolicy {
    /// The policies as the JSON array that `policy_set` takes.
    static func rules(_ policies: [GroupPolicy]) -> ByteBuffer {
        JSONWriter.array { json in
            for policy in policies {
                json.object { json in
                    json.string("match", policy.match)
                    json.number("size", policy.historySize)
                    json.number("ttl", policy.historyTTL)
                    if policy.joinLeave { json.bool("join_leave", true) }
                    if policy.tracking == .receipts { json.bool("receipts", true) }
                    if policy.tracking == .inbox { json.bool("inbox", true) }
                    if let escalation = policy.escalation { json.object("escalate", escalation.write) }
                }
            }
        }
    }
}

extension EscalationPolicy {
    fileprivate func write(to json: inout JSONWriter) {
        json.number("after", after)
        if let unless { json.string("unless", unless.rawValue) }
        if let targets { json.array("to") { json in for target in targets { json.string(target) } } }
    }
}
