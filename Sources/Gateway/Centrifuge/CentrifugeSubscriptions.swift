import Broker
import NIOCore

/// Joins with recovery, and history reads, in the centrifuge protocol's terms. Lives on its shard's loop.
struct CentrifugeSubscriptions {
    let backplane: any Backplane
    let eventLoop: any EventLoop
    /// Identifies all reads made for this client, so that they can be cancelled together.
    let ticket = ReadTicket()

    /// Maximum publications in one subscribe reply; the rest follow as pushes.
    static let maximumRecovered = 500
    /// Maximum publications in one history reply.
    static let maximumHistory = 1000
    /// Bytes of messages after which a reply is full, regardless of their number.
    static let maximumBytes = 1 << 20

    /// Whether a recovery may have been cut at its limit, so that the log must be read further.
    static func isFull(_ publications: [Publication]) -> Bool {
        publications.count >= maximumRecovered || bytes(publications) >= maximumBytes
    }

    private static func bytes(_ publications: [Publication]) -> Int {
        publications.reduce(0) { $0 + $1.json.readableBytes }
    }

    /// Joins the group and reads what the client has missed.
    func join(
        _ member: Member, _ group: GroupName, outlet: Int, recovery: CentrifugeCommand.Recovery?
    ) -> EventLoopFuture<CentrifugeReply.Subscribed> {
        let (backplane, eventLoop) = (backplane, eventLoop)
        let joined = backplane.groupAdd(member, to: group, outlet: outlet).hop(to: eventLoop).flatMap { entry in
            guard entry.position == .beginning else { return eventLoop.makeSucceededFuture(entry) }
            // The first message may be sent before this read is answered; it counts as coming after the join.
            return backplane.position(of: group).hop(to: eventLoop).map { made in
                GroupEntry(
                    position: Position(epoch: made.epoch, history: made.history, offset: 0), tracking: entry.tracking)
            }
        }
        return joined.flatMap { entry in
            if entry.tracking != .none, let seen = recovery?.position {
                // What a client continues from, it has.
                backplane.confirm(Confirmation(group: group, user: member.user, position: seen))
            }
            return recover(group, since: recovery, now: entry.position).map { subscribed in
                var subscribed = subscribed
                subscribed.tracking = entry.tracking
                return subscribed
            }
        }
    }

    private func recover(
        _ group: GroupName, since recovery: CentrifugeCommand.Recovery?, now: Position
    ) -> EventLoopFuture<CentrifugeReply.Subscribed> {
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

    struct History: Sendable {
        var publications: [Publication]
        var position: Position
    }

    /// Publications after `since`, oldest first; with `reverse`, those before it, newest first.
    ///
    /// - Throws (in the future): `CentrifugeError.unrecoverablePosition` when `since` cannot be continued from.
    func history(
        _ group: GroupName, limit: Int, since: CentrifugeCommand.Recovery?, reverse: Bool
    ) -> EventLoopFuture<History> {
        let (backplane, eventLoop) = (backplane, eventLoop)
        return backplane.read(group, since: nil, bytes: 1, ticket).hop(to: eventLoop).flatMap { page in
            // No message has ever been sent to the group.
            guard let now = page.position else {
                return eventLoop.makeSucceededFuture(History(publications: [], position: .beginning))
            }
            guard limit > 0 else { return eventLoop.makeSucceededFuture(History(publications: [], position: now)) }
            if reverse { return backwards(group, now: now, since: since, limit: limit) }
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

    private func backwards(
        _ group: GroupName, now: Position, since: CentrifugeCommand.Recovery?, limit: Int
    ) -> EventLoopFuture<History> {
        guard let since else { return backwards(group, now: now, last: now.offset, limit: limit, found: []) }
        guard let start = since.position else {
            return eventLoop.makeFailedFuture(CentrifugeError.unrecoverablePosition)
        }
        return backplane.read(group, since: start, bytes: 1, ticket).hop(to: eventLoop).flatMap { [self] page in
            // What came after `since` may have expired; only what came before it matters here.
            guard page.continuity.isRecovered || page.continuity == .gap else {
                return eventLoop.makeFailedFuture(CentrifugeError.unrecoverablePosition)
            }
            return backwards(group, now: now, last: start.offset > 0 ? start.offset - 1 : 0, limit: limit, found: [])
        }
    }

    /// Pages backwards from the end, which works because offsets have no holes. The log only reads forwards, so a page that
    /// was cut before its end is useless; it is retried with fewer entries.
    private func backwards(
        _ group: GroupName, now: Position, last: UInt64, limit: Int, count: UInt64 = 16, found: [Publication]
    ) -> EventLoopFuture<History> {
        let left = Self.maximumBytes - Self.bytes(found)
        guard last > 0, found.count < limit, left > 0 else {
            return eventLoop.makeSucceededFuture(History(publications: found, position: now))
        }
        let count = min(count, UInt64(limit - found.count), last)
        return collect(
            group, since: Position(epoch: now.epoch, history: now.history, offset: last - count), upTo: last,
            limit: Int(count), bytes: left, found: [], allowGap: true
        ).flatMap { [self] collected in
            guard let collected, let first = collected.first, first <= last else {
                // Older entries have expired.
                return eventLoop.makeSucceededFuture(History(publications: found, position: now))
            }
            guard collected.position.offset >= last || count == 1 else {
                return backwards(group, now: now, last: last, limit: limit, count: max(count / 4, 1), found: found)
            }
            let page = collected.publications.filter { ($0.position?.offset ?? 0) <= last }
            return backwards(
                group, now: now, last: last - count, limit: limit, count: min(count * 4, 100),
                found: found + page.reversed())
        }
    }

    private struct Collected: Sendable {
        var publications: [Publication] = []
        /// Where reading can continue.
        var position: Position
        /// Offset of the first entry, which may have expired since.
        var first: UInt64?
    }

    /// Reads pages until the log ends or a limit is reached. nil: continuity cannot be established.
    private func collect(
        _ group: GroupName, since: Position, upTo last: UInt64 = .max, limit: Int, bytes: Int = Self.maximumBytes,
        found: [Publication], first: UInt64? = nil, allowGap: Bool = false
    ) -> EventLoopFuture<Collected?> {
        let left = bytes - Self.bytes(found)
        return backplane.read(group, since: since, bytes: left, ticket).hop(to: eventLoop).flatMap { [self] page in
            guard let now = page.position, let end = page.end else {
                return eventLoop.makeSucceededFuture(since == .beginning ? Collected(position: .beginning) : nil)
            }
            let isWhole =
                page.continuityAsWhole.isRecovered || allowGap && page.continuityAsWhole == .gap
                || page.continuity == .liveOnly && page.proven == now.offset
            guard isWhole else { return eventLoop.makeSucceededFuture(nil) }
            let all = found + page.entries.compactMap(\.publication), first = first ?? page.entries.first?.offset
            let isEnd = page.entries.isEmpty || end.offset >= min(now.offset, last)
            if isEnd || all.count >= limit || Self.bytes(all) >= bytes {
                return eventLoop.makeSucceededFuture(Collected(publications: all, position: end, first: first))
            }
            return collect(
                group, since: end, upTo: last, limit: limit, bytes: bytes, found: all, first: first, allowGap: allowGap)
        }
    }
}
