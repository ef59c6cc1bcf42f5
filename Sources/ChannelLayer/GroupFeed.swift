import Broker
import Logging
import NIOCore
import Sockets

/// Puts messages in order: keeps each group's cursor, reads the log where messages are missing, and collects the results of
/// one read for the outlets.
///
/// Lives on the backplane's loop.
final class GroupFeed {
    private let membership: Membership
    private let reader: HistoryReader
    private let eventLoop: any EventLoop
    private let metrics: LayerMetrics
    private var cursors: [GroupName: GroupCursor] = [:]
    /// Log reads in progress.
    private var fills: [GroupName: ReadTicket] = [:]
    /// Groups that received something since the last `doubtQuiet`.
    private var lively: Set<GroupName> = []
    private var outlets: [any Outlet] = []
    private var gathered: [[Delivery]] = []
    /// Whether nothing was missed up to the end of the last subscription connection: what Redis has published arrives before
    /// a connection's end, unless the connection just fell silent.
    private var heardToTheEnd = true
    private let logger: Logger
    private var throttle = LogThrottle()

    init(
        membership: Membership, reader: HistoryReader, eventLoop: any EventLoop, metrics: LayerMetrics, logger: Logger
    ) {
        self.logger = logger
        self.membership = membership
        self.reader = reader
        self.eventLoop = eventLoop
        self.metrics = metrics
    }

    func attach(_ outlets: [any Outlet]) {
        self.outlets = outlets
        gathered = [[Delivery]](repeating: [], count: outlets.count)
    }

    // MARK: Live messages

    /// - Parameter entry: the group's entry.
    func received(_ publication: Publication, for entry: GroupTable.Entry) {
        guard let position = publication.position else { return gather(.publication(publication), entry) }
        let group = publication.group
        lively.insert(group)
        switch cursors[group, default: GroupCursor()].received(publication, at: position) {
        case .deliver: gather(.publication(publication), entry)
        case .drop: metrics.duplicates.add()
        case .hold: break
        case .dispute: settleDispute(of: publication)
        case .fill(let since):
            metrics.gaps.add()
            fill(group, since: since)
        }
    }

    /// Call for a live message with a position that cannot be read.
    func unreadable(_ group: GroupName, at position: Position) {
        lively.insert(group)
        if let since = cursors[group]?.unreadable(at: position) { fill(group, since: since) }
    }

    func presence(_ group: GroupName, _ entry: PresenceEntry, joined: Bool) {
        gather(.presence(group, entry, joined: joined), group)
    }

    func changed(_ group: GroupName, _ change: ReadStateChange) { gather(.inbox(group, change), group) }

    func everywhere(_ delivery: Delivery) { for outlet in gathered.indices { gathered[outlet].append(delivery) } }

    /// Call at the end of a read: delivers what was collected, with one hop per outlet.
    func flush() {
        for outlet in gathered.indices where !gathered[outlet].isEmpty {
            outlets[outlet].deliver(gathered[outlet])
            gathered[outlet].removeAll(keepingCapacity: true)
        }
    }

    private func gather(_ delivery: Delivery, _ group: GroupName) {
        if let entry = membership.entry(of: group) { gather(delivery, entry) }
    }

    private func gather(_ delivery: Delivery, _ entry: GroupTable.Entry) {
        for outlet in outlets.indices where entry.interests(outlet) { gathered[outlet].append(delivery) }
    }

    // MARK: Joins and leaves

    func joined(_ group: GroupName, at position: Position) {
        cursors[group, default: GroupCursor()].joined(at: position)
    }

    /// Call when the last local member has left. A later join starts afresh.
    func left(_ group: GroupName) {
        cursors[group] = nil
        lively.remove(group)
        if let ticket = fills.removeValue(forKey: group) { reader.giveUp(ticket) }
    }

    func releaseSlack() {
        cursors.releaseSlack()
        fills.releaseSlack()
    }

    // MARK: Doubts

    /// Call when messages of Django's core layer to groups without history may have been lost.
    func mayHaveMissedUnlogged() {
        for entry in membership.table.unlogged {
            metrics.lost.add()
            gather(.mayHaveMissed(entry.group), entry)
        }
        flush()
    }

    func subscriptionEnded(bySilence: Bool) { heardToTheEnd = !bySilence }

    /// Call when Redis is back after an outage: any group may have missed messages.
    func doubtAll() {
        for group in cursors.keys { doubt(group) }
    }

    /// Checks groups that were quiet since the last call: a lost message with no successor would go unnoticed.
    func doubtQuiet() {
        for group in cursors.keys where !lively.contains(group) { doubt(group) }
        lively.removeAll(keepingCapacity: true)
    }

    private func doubt(_ group: GroupName) {
        if let since = cursors[group]?.doubt() { fill(group, since: since) }
    }

    // MARK: Two messages under one position

    /// The first message was already delivered. If the log has the second, the first was foreign, and the second is delivered late
    /// and without a position. The same if no log can tell.
    private func settleDispute(of second: Publication) {
        guard var before = second.position else { return }
        metrics.disputed.add()
        sayDisputed(second)
        before.offset -= min(before.offset, 1)
        let promise = eventLoop.makePromise(of: HistoryPage.self)
        reader.read(ReadPlace(group: second.group, since: before), bytes: 1, in: .feed, ReadTicket(), promise)
        promise.futureResult.assumeIsolated().whenComplete { result in
            let page = try? result.get()
            let entry = page?.entries.first { $0.offset == second.position?.offset }
            if let logged = entry?.publication, !logged.says(theSameAs: second) { return }
            self.gather(.publication(second.unpositioned), second.group)
            self.flush()
        }
    }

    private func sayDisputed(_ publication: Publication) {
        guard let held = throttle.pass() else { return }
        logger.warning(
            "two messages came under one position: somebody publishes with __tocsin__ entries of their own",
            metadata: [
                "group": "\(publication.group)", "position": "\(publication.position?.description ?? "")",
                "held_back": "\(held)",
            ])
    }

    private func fill(_ group: GroupName, since: Position) {
        let promise = eventLoop.makePromise(of: HistoryPage.self), ticket = ReadTicket()
        fills[group] = ticket
        reader.read(
            ReadPlace(group: group, since: since), bytes: HistoryReader.budget, in: .feed, ticket, promise)
        promise.futureResult.assumeIsolated().whenComplete { result in
            // The group may have been left meanwhile, and joined again.
            guard self.fills[group] == ticket else { return }
            self.fills[group] = nil
            switch result {
            case .success(let page): self.filled(group, with: page)
            case .failure: self.fillAgainLater(group, since: since)
            }
        }
    }

    /// Retries after Redis did not answer. It may be away for long, but the cursor must not stay in doubt forever.
    private func fillAgainLater(_ group: GroupName, since: Position) {
        eventLoop.assumeIsolated().scheduleTask(in: .milliseconds(500)) {
            guard self.cursors[group]?.isFilling == true, self.cursors[group]?.position == since else { return }
            self.fill(group, since: since)
        }
    }

    private func filled(_ group: GroupName, with page: HistoryPage) {
        guard cursors[group]?.isFilling == true, let filled = cursors[group]?.filled(with: page) else { return }
        for step in filled.steps {
            switch step {
            case .deliver(let publication):
                metrics.filled.add()
                gather(.publication(publication), group)
            case .lost(let continuity, let position):
                metrics.lost.add()
                let isRenewed = continuity == .reset && heardToTheEnd
                gather(.lost(group, isRenewed ? .renewed : continuity, position), group)
            }
        }
        metrics.missed.add(Int(clamping: filled.missed))
        metrics.malformedLive.add(filled.strangers)
        for publication in filled.disputed { settleDispute(of: publication) }
        flush()
        if let since = filled.readOn { fill(group, since: since) }
    }
}

@available(*, unavailable) extension GroupFeed: Sendable {}
