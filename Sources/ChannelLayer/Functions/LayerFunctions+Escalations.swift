public import NIOCore
import RedisClient

/// One delivery of an escalation to one target, claimed for a limited time.
public struct ClaimedTask: Equatable, Sendable {
    /// Unique for an escalation, a target and a push subscription; the same on every try.
    public let id: String
    /// The same for all tasks of an escalation.
    public let escalation: String
    /// 1 for the first.
    public let attempt: Int
    /// When it was escalated, in seconds since 1970.
    public let since: Double
    public let group: String, user: String, position: String
    public let body: ByteBuffer
    /// The JSON object that was registered; nil: the target is a webhook.
    public let subscription: ByteBuffer?
    public let ttl: Int?
    public let urgency: String?, topic: String?

    fileprivate init?(_ reply: RedisValue) {
        guard let fields = reply.array, fields.count == 12, let body = fields[7].bytes else { return nil }
        let texts = fields.map { $0.text ?? "" }
        guard let attempt = Int(texts[2]), let since = Double(texts[3]) else { return nil }
        func given(_ index: Int) -> String? { texts[index].isEmpty ? nil : texts[index] }
        id = texts[0]
        escalation = texts[1]
        self.attempt = attempt
        self.since = since
        group = texts[4]
        user = texts[5]
        position = texts[6]
        self.body = body
        subscription = given(8).map { ByteBuffer(string: $0) }
        ttl = given(9).flatMap { Int($0) }
        urgency = given(10)
        topic = given(11)
    }
}

/// How a try ended.
public enum TaskResult: Equatable, Sendable {
    case done
    /// The push subscription no longer exists: it is removed.
    case gone
    case retry(milliseconds: Int, reason: String)
    case dead(reason: String)
}

extension LayerFunctions {
    /// - Parameters:
    ///   - most: tasks in flight for the target, in the whole fleet.
    ///   - seconds: how long the claim holds: after that another gateway may try.
    func escalationClaim(
        _ target: String, most: Int, limit: Int, seconds: Int
    ) -> FunctionCall<[ClaimedTask]> {
        var call = FunctionCall(.escalationClaim) { reply -> [ClaimedTask]? in
            guard let answer = reply.array else { return nil }
            let tasks = answer.compactMap(ClaimedTask.init)
            return tasks.count == answer.count ? tasks : nil
        }
        call.append(keys.prefix)
        call.append(target)
        call.append(most)
        call.append(limit)
        call.append(seconds)
        return call
    }

    /// The answer is 0 when another has finished the task, or claimed it after the caller's claim had ended.
    func escalationFinish(
        _ target: String, _ id: String, attempt: Int, _ result: TaskResult
    ) -> FunctionCall<Int> {
        var call = FunctionCall(.escalationFinish, read: \.int)
        call.append(keys.prefix)
        call.append(target)
        call.append(id)
        call.append(attempt)
        switch result {
        case .done: call.append("DONE")
        case .gone: call.append("GONE")
        case .retry(let milliseconds, let reason):
            call.append("RETRY")
            call.append(milliseconds)
            call.append(reason)
        case .dead(let reason):
            call.append("DEAD")
            call.append(reason)
        }
        return call
    }

    /// What waits for each target, what is in flight, and the dead letters, newest first: a JSON object.
    func escalationList(limit: Int) -> FunctionCall<ByteBuffer> {
        var call = FunctionCall(.escalationList, isReadOnly: true, read: \.bytes)
        call.append(keys.prefix)
        call.append(limit)
        return call
    }

    /// Sends dead letters again. The answer is how many.
    ///
    /// - Parameter id: nil: all, at most 1,000 in a call.
    func escalationRetry(_ id: String?) -> FunctionCall<Int> {
        var call = FunctionCall(.escalationRetry, read: \.int)
        call.append(keys.prefix)
        call.append(id ?? "ALL")
        return call
    }
}
