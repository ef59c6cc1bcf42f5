import Broker
import NIOCore

/// One client's joins to its groups, all or none, with their undo.
///
/// Its loop counts what comes to the groups from the beginning on (`JoinHold`). Either a session takes the hold over, or the
/// joins are cancelled: what has been joined is left again. Lives on its shard's loop.
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

    /// Joins every group by `join`, and calls `then` with the answers in the order of `groups`. After a failure everything is
    /// undone; after `cancel()` nobody is called.
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

    /// For the session that is in the groups from now on. Once, after a success.
    func take() -> JoinHold {
        guard state == .joined, let hold = hold.take() else { preconditionFailure("groups that are not joined") }
        state = .over
        return hold
    }

    /// Leaves what was joined, and whatever is joined later. Of no effect when a session has taken the groups over.
    func cancel() {
        guard state != .over else { return }
        state = .over
        hold = nil
        for group in groups { shard.state.backplane.groupDiscard(connection, from: group, outlet: shard.index) }
    }
}

@available(*, unavailable) extension Joining: Sendable {}
