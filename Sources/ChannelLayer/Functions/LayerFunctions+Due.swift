import Broker
import NIOCore
import RedisClient

/// The answer of `due_run`.
struct DueAnswer: Equatable, Sendable {
    /// Entries that were taken out, or put off because they failed.
    let done: Int
    /// Milliseconds until the next one is due; nil: none waits.
    let wait: Int?
    let sent: Int
    let escalated: Int

    init?(_ reply: RedisValue) {
        guard let answer = reply.array, answer.count == 4, let done = answer[0].int, let wait = answer[1].int,
            let sent = answer[2].int, let escalated = answer[3].int
        else { return nil }
        self.done = done
        self.wait = wait < 0 ? nil : wait
        self.sent = sent
        self.escalated = escalated
    }
}

extension LayerFunctions {
    /// Sends what is scheduled for now, and escalates what nobody has seen in time.
    ///
    /// - Parameter limit: entries, 1 to 10,000.
    func dueRun(limit: Int) -> FunctionCall<DueAnswer> {
        var call = FunctionCall(.dueRun, read: DueAnswer.init)
        call.append(keys.prefix)
        call.append(limit)
        return call
    }

    /// The answer is 0 when the id is unknown: the message was sent, or cancelled before.
    func scheduleCancel(_ id: String, in group: GroupName) -> FunctionCall<Int> {
        var call = FunctionCall(.scheduleCancel, keys: [keys.group(group)], read: \.int)
        call.append(id)
        return call
    }

    /// What is scheduled, soonest first: `{"scheduled":[{"id":…,"group":…,"at":…,"message":{…}},…]}`.
    ///
    /// - Parameter limit: 1 to 1,000.
    func scheduleList(limit: Int, group: GroupName? = nil) -> FunctionCall<ByteBuffer> {
        var call = FunctionCall(.scheduleList, isReadOnly: true, read: \.bytes)
        call.append(keys.prefix)
        call.append(limit)
        if let group { call.append(group.text) }
        return call
    }
}
