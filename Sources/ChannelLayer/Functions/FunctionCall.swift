import NIOCore
import RedisClient

/// The functions of `redis/tocsin.lua`, by their names in Redis.
enum LayerFunction: String, CaseIterable, Sendable {
    case groupSend = "group_send"
    case channelSend = "channel_send"
    case groupAdd = "group_add"
    case groupDiscard = "group_discard"
    case groupPosition = "group_position"
    case groupRead = "group_read"
    case gatewayLease = "gateway_lease"
    case gatewayRelease = "gateway_release"
    case gatewaySweep = "gateway_sweep"
    case gatewayRetain = "gateway_retain"
    case gatewayTrial = "gateway_trial"
    case gatewayCollect = "gateway_collect"
    case outgoingCollect = "outgoing_collect"
    case outgoingCommit = "outgoing_commit"
    case relayCollect = "relay_collect"
    case relayCommit = "relay_commit"
    case markRead = "mark_read"
    case markDelivered = "mark_delivered"
    case inbox
    case receipts
    case scheduleCancel = "schedule_cancel"
    case scheduleList = "schedule_list"
    case dueRun = "due_run"
    case escalationClaim = "escalation_claim"
    case escalationFinish = "escalation_finish"
    case escalationList = "escalation_list"
    case escalationRetry = "escalation_retry"
    case pushSet = "push_set"
    case pushDelete = "push_delete"
    case userGroups = "user_groups"
    case userErase = "user_erase"
    case policySet = "policy_set"
    case tocsinVersion = "tocsin_version"

    /// How error texts describe the expected answer.
    fileprivate var answer: String {
        switch self {
        case .groupSend: "a position or an id"
        case .groupPosition: "a position"
        case .groupAdd: "positions"
        case .groupRead: "pages"
        case .gatewayTrial: "rights"
        case .gatewayLease: "a lease"
        case .channelSend, .groupDiscard, .gatewayRelease, .gatewaySweep, .gatewayRetain, .outgoingCommit, .relayCommit,
            .markDelivered, .scheduleCancel, .escalationFinish, .escalationRetry, .pushSet, .pushDelete:
            "a number"
        case .markRead, .inbox: "a read state"
        case .receipts, .scheduleList, .escalationList: "JSON"
        case .dueRun: "what was due"
        case .escalationClaim: "tasks"
        case .userGroups: "groups"
        case .userErase: "a cursor"
        case .gatewayCollect, .outgoingCollect: "messages"
        case .relayCollect: "staged messages"
        case .policySet, .tocsinVersion: "a version"
        }
    }
}

/// One call of a function: its command, and how to parse the reply. A value; sent by `RedisClient.call`.
///
/// Created by `LayerFunctions`.
struct FunctionCall<Answer: Sendable>: Sendable {
    let function: LayerFunction
    private(set) var command: RedisCommand
    /// Returns nil when the reply is not an answer of the function.
    private let read: @Sendable (RedisValue) -> Answer?

    /// - Parameter isReadOnly: use `FCALL_RO`, which replicas execute too.
    init(
        _ function: LayerFunction, keys: some Collection<String> = EmptyCollection(), isReadOnly: Bool = false,
        read: @escaping @Sendable (RedisValue) -> Answer?
    ) {
        self.function = function
        self.read = read
        command = RedisCommand(isReadOnly ? "FCALL_RO" : "FCALL", function.rawValue)
        command.append(keys.count)
        for key in keys { command.append(key) }
    }

    mutating func append(_ argument: String) { command.append(argument) }
    mutating func append(_ argument: Int) { command.append(argument) }
    mutating func append(_ argument: ByteBuffer) { command.append(argument) }

    /// - Throws: `RedisError` with the code `.unexpectedAnswer`.
    func answer(_ reply: RedisValue) throws(RedisError) -> Answer {
        guard let answer = read(reply) else {
            throw RedisError(
                .unexpectedAnswer, "\(function.rawValue) answered something else than \(function.answer)")
        }
        return answer
    }

    fileprivate func outcome(_ result: Result<RedisValue, any Error>) -> Result<Answer, RedisError> {
        switch result {
        case .success(let reply): Result { () throws(RedisError) in try answer(reply) }
        case .failure(let error): .failure(RedisError(error))
        }
    }
}

extension RedisClient {
    /// Sends a call. Call on the client's loop, which also runs `then`; without a connection `then` runs before this returns.
    func call<Answer>(
        _ call: FunctionCall<Answer>, then: @escaping (Result<Answer, RedisError>) -> Void
    ) {
        submit(call.command).assumeIsolated().whenComplete { then(call.outcome($0)) }
    }

    /// Sends a call, and waits until that many replicas have acknowledged its writes.
    ///
    /// - Throws (in the future): `RedisError`, as `submit(_:waitingFor:milliseconds:)`; `.unexpectedAnswer`.
    func call<Answer>(
        _ call: FunctionCall<Answer>, waitingFor replicas: ReplicaQuorum = .zero
    ) -> EventLoopFuture<Answer> {
        submit(call.command, waitingFor: replicas, milliseconds: LayerConfiguration.waitMilliseconds)
            .flatMapThrowing { try call.answer($0) }
    }

    /// - Throws: `RedisError`.
    func call<Answer>(_ call: FunctionCall<Answer>) async throws -> Answer {
        try call.answer(try await send(call.command))
    }
}
