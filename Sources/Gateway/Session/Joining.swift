import Broker
import NIOCore

/// Joins one client to its groups: all or none, with rollback.
///
/// The loop tracks the groups' publications from the start (`JoinHold`). Either a session takes over the hold, or the joins
/// are cancelled and whatever has been joined is left again. Lives on its shard's loop.
final class Joining {
    private enum State { case joining, joined, over }

    let groups: [GroupName]
    private let connection: ConnectionID
    private let shard: Shard
    private var hold: JoinHold?
    private var state = State.joining

    init(_ groups: [GroupName], of connection: ConnectionID, on shard: Shard) {
        self.groups = groups
        self.connection = connection
        self.shard = shard
        hold = JoinHold(groups, on: shard)
    }

    /// Joins every group with `join`, and calls `then` with the answers in the order of `groups`. On failure all joins are
    /// undone first; after `cancel()`, `then` is not called.
    func run<Answer: Sendable>(
        _ join: (GroupName) -> EventLoopFuture<Answer>, then: @escaping (Result<[Answer], any Error>) -> Void
    ) {
        let joins = groups.map { join($0).hop(to: shard.eventLoop) }
        if joins.count == 1 {
            joins[0].assumeIsolated().whenComplete { self.complete($0.map { [$0] }, then) }
        } else {
            EventLoopFuture.whenAllSucceed(joins, on: shard.eventLoop).assumeIsolated().whenComplete {
                self.complete($0, then)
            }
        }
    }

    private func complete<Answer>(
        _ result: Result<[Answer], any Error>, _ then: (Result<[Answer], any Error>) -> Void
    ) {
        guard state == .joining else { return }
        if case .success = result { state = .joined } else { cancel() }
        then(result)
    }

    /// The hold, for the session that takes over the groups. Call once, after success.
    func take() -> JoinHold {
        guard state == .joined, let hold = hold.take() else { preconditionFailure("groups that are not joined") }
        state = .over
        return hold
    }

    /// Leaves whatever was joined, or still gets joined. Has no effect once a session has taken over the groups.
    func cancel() {
        guard state != .over else { return }
        state = .over
        hold = nil
        for group in groups { shard.state.backplane.groupDiscard(connection, from: group, outlet: shard.index) }
    }
}

@available(*, unavailable) extension Joining: Sendable {}
