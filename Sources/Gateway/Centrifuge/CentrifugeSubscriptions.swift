import Broker
import NIOCore

/// Joins with recovery, and reads of history, in the centrifuge protocol's terms. Lives on its shard's loop.
struct CentrifugeSubscriptions {
    let backplane: any Backplane
    let eventLoop: any EventLoop

    /// Publications in one subscribe reply; what is more follows as pushes.
    static let maximumRecovered = 500
    /// Publications in one history reply.
    static let maximumHistory = 1000

    /// Joins the group and reads what the client has missed.
    func join(
        _ member: Member, _ group: GroupName, outlet: Int, recovery: CentrifugeCommand.Recovery?
    ) -> EventLoopFuture<CentrifugeReply.Subscribed> {
        let (backplane, eventLoop) = (backplane, eventLoop)
        return backplane.groupAdd(member, to: group, outlet: outlet).hop(to: eventLoop).flatMap { now in
            guard let recovery else {
                return eventLoop.makeSucceededFuture(
                    CentrifugeReply.Subscribed(position: now, recovered: nil, publications: []))
            }
            guard let since = recovery.position else {
                return eventLoop.makeSucceededFuture(
                    CentrifugeReply.Subscribed(position: now, recovered: false, publications: []))
            }
            return collect(group, since: since, limit: Self.maximumRecovered, found: []).map { collected in
                guard let collected else {
                    return CentrifugeReply.Subscribed(position: now, recovered: false, publications: [])
                }
                return CentrifugeReply.Subscribed(
                    position: collected.position, recovered: true, publications: collected.publications)
            }
        }
    }

    struct History: Sendable {
        var publications: [Publication]
        var position: Position
    }

    /// - Throws (in the future): `CentrifugeError.unrecoverablePosition` when `since` cannot be continued from.
    func history(
        _ group: GroupName, limit: Int, since: CentrifugeCommand.Recovery?
    ) -> EventLoopFuture<History> {
        let (backplane, eventLoop) = (backplane, eventLoop)
        return backplane.read(group, since: nil).hop(to: eventLoop).flatMap { page in
            guard let now = page.position else {
                return eventLoop.makeFailedFuture(CentrifugeError.unknownChannel)
            }
            guard limit > 0 else { return eventLoop.makeSucceededFuture(History(publications: [], position: now)) }
            if let since {
                guard let start = since.position else {
                    return eventLoop.makeFailedFuture(CentrifugeError.unrecoverablePosition)
                }
                return collect(group, since: start, limit: limit, found: []).flatMapThrowing { collected in
                    guard let collected else { throw CentrifugeError.unrecoverablePosition }
                    return History(publications: Array(collected.publications.prefix(limit)), position: now)
                }
            }
            let beginning = Position(epoch: now.epoch, history: now.history, offset: 0)
            return collect(group, since: beginning, limit: limit, found: [], allowGap: true).map { collected in
                History(publications: Array((collected?.publications ?? []).prefix(limit)), position: now)
            }
        }
    }

    /// Pages, until there are no more or `limit` is reached. nil: continuity cannot be shown.
    private func collect(
        _ group: GroupName, since: Position, limit: Int, found: [Publication], allowGap: Bool = false
    ) -> EventLoopFuture<History?> {
        let (backplane, eventLoop) = (backplane, eventLoop)
        return backplane.read(group, since: since).hop(to: eventLoop).flatMap { page in
            guard let now = page.position, let end = page.end else { return eventLoop.makeSucceededFuture(nil) }
            let isWhole =
                page.continuity.isRecovered || allowGap && page.continuity == .gap
                || page.continuity == .liveOnly && page.proven == now.offset
            guard isWhole else { return eventLoop.makeSucceededFuture(nil) }
            let all = found + page.entries.compactMap(\.publication)
            if page.entries.isEmpty || end.offset >= now.offset || all.count >= limit {
                return eventLoop.makeSucceededFuture(History(publications: all, position: end))
            }
            return collect(group, since: end, limit: limit, found: all)
        }
    }
}
