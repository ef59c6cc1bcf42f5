import Broker
import NIOCore
import RedisClient

/// A message of the core layer that was moved out of the fleet's inbox but is not yet sent to its groups.
struct StagedMessage: Equatable, Sendable {
    let id: String
    let bytes: ByteBuffer

    /// `{{id, message}, …}`; nil: it is something else.
    static func all(_ values: [RedisValue]) -> [StagedMessage]? {
        let messages = values.compactMap { value -> StagedMessage? in
            guard let pair = value.array, pair.count == 2, let id = pair[0].text, let bytes = pair[1].bytes else {
                return nil
            }
            return StagedMessage(id: id, bytes: bytes)
        }
        return messages.count == values.count ? messages : nil
    }
}

/// The answer of `relay_collect`.
struct CollectAnswer: Equatable, Sendable {
    /// Whether there are more than one call may take.
    let hasMore: Bool
    /// The staging key, if it has a wrong type.
    let foreign: String?
    let staged: [StagedMessage]

    init?(_ reply: RedisValue) {
        guard let answer = reply.array, answer.count == 4, let more = answer[1].int, let foreign = answer[2].text,
            let staged = answer[3].array
        else { return nil }
        hasMore = more == 1
        self.foreign = foreign.isEmpty ? nil : foreign
        guard let messages = StagedMessage.all(staged) else { return nil }
        self.staged = messages
    }
}

/// The answer of `relay_commit`.
enum CommitAnswer: Equatable, Sendable {
    /// Sent to this many groups; without groups the message was only removed.
    case committed(groups: Int)
    /// Another gateway has already committed it.
    case gone
    /// An older message of the inbox must be committed first.
    case notItsTurn

    init?(_ reply: RedisValue) {
        switch reply.int {
        case -1: self = .gone
        case -2: self = .notItsTurn
        case let groups? where groups >= 0: self = .committed(groups: groups)
        default: return nil
        }
    }
}

extension LayerFunctions {
    /// Moves what is in the fleet's inbox to staging, and answers the oldest staged messages.
    func relayCollect(inbox: Int, limit: Int, push: ListPush? = nil) -> FunctionCall<CollectAnswer> {
        var call = FunctionCall(
            .relayCollect, keys: [keys.inbox(inbox), keys.staging(inbox)], read: CollectAnswer.init)
        call.append(limit)
        if let push { call.append(push.rawValue) }
        return call
    }

    /// Sends a staged message to its groups and removes it, provided it is the oldest.
    func relayCommit(
        _ id: String, _ message: ByteBuffer, to groups: [GroupName], inbox: Int
    ) -> FunctionCall<CommitAnswer> {
        var call = FunctionCall(
            .relayCommit, keys: [keys.staging(inbox)] + groups.map { keys.group($0) }, read: CommitAnswer.init)
        call.append(id)
        call.append(message)
        return call
    }

    /// The oldest of what waits to be encrypted for Django's consumers.
    func outgoingCollect(limit: Int) -> FunctionCall<[StagedMessage]> {
        var call = FunctionCall(.outgoingCollect) { $0.array.flatMap { StagedMessage.all($0) } }
        call.append(keys.prefix)
        call.append(limit)
        return call
    }

    /// Sends one of them, if it is the oldest one.
    func outgoingCommit(_ id: String, _ token: ByteBuffer) -> FunctionCall<CommitAnswer> {
        var call = FunctionCall(.outgoingCommit, read: CommitAnswer.init)
        call.append(keys.prefix)
        call.append(id)
        call.append(token)
        return call
    }

    /// Removes a staged message that cannot be sent.
    func relayDrop(_ id: String, inbox: Int) -> FunctionCall<CommitAnswer> {
        var call = FunctionCall(.relayCommit, keys: [keys.staging(inbox)], read: CommitAnswer.init)
        call.append(id)
        return call
    }
}
