import Broker
import Logging
import NIOCore
import Sockets

/// From messages as they come to messages in order: each group's cursor, the log read where something is missing, and
/// what one read brought, gathered for the outlets.
///
/// Lives on the backplane's loop.
final class GroupFeed {
    private let membership: Membership
    private let reader: HistoryReader
    private let eventLoop: any EventLoop
    private let metrics: LayerMetrics
    private var cursors: [GroupName: GroupCursor] = [:]
    /// Reads under way.
    private var fills: [GroupName: ReadTicket] = [:]
    /// Groups of which something came since the last look at the quiet ones.
    private var lively: Set<GroupName> = []
    private var outlets: [any Outlet] = []
    private var gathered: [[Delivery]] = []
    /// Whether the subscription's connection last ended in a way that lets nothing go unheard: what Redis had published
    /// comes before the end of the connection, unless the connection just fell silent.
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

    /// - Parameter entry: the group's.
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

    /// Something came under a position that nobody here can read.
    func unreadable(_ group: GroupName, at position: Position) {
        lively.insert(group)
        if let since = cursors[group]?.unreadable(at: position) { fill(group, since: since) }
    }

    func presence(_ group: GroupName, _ entry: PresenceEntry, joined: Bool) {
        gather(.presence(group, entry, joined: joined), group)
    }

    func everywhere(_ delivery: Delivery) { for outlet in gathered.indices { gathered[outlet].append(delivery) } }

    /// The end of a read: what was gathered goes out, one hop per outlet.
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

    /// Nobody is left: what comes later is somebody else's beginning.
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

    /// For a while nobody received what Django's core layer sent to groups without history.
    func mayHaveMissedUnlogged() {
        for entry in membership.table.unlogged {
            metrics.lost.add()
            gather(.mayHaveMissed(entry.group), entry)
        }
        flush()
    }

    func subscriptionEnded(bySilence: Bool) { heardToTheEnd = !bySilence }

    /// Redis was lost and is back: anything may have been missed.
    func doubtAll() {
        for group in cursors.keys { doubt(group) }
    }

    /// Groups that were quiet since the last call: a message that nobody followed could have been missed there.
    func doubtQuiet() {
        for group in cursors.keys where !lively.contains(group) { doubt(group) }
        lively.removeAll(keepingCapacity: true)
    }

    private func doubt(_ group: GroupName) {
        if let since = cursors[group]?.doubt() { fill(group, since: since) }
    }

    // MARK: Two messages under one position

    /// The first was shown. If the log has the second, the first was a stranger's, and the second is shown late, without its
    /// position; so it is where no log knows.
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
            // The group was left meanwhile, and perhaps joined again.
            guard self.fills[group] == ticket else { return }
            self.fills[group] = nil
            switch result {
            case .success(let page): self.filled(group, with: page)
            case .failure: self.fillAgainLater(group, since: since)
            }
        }
    }

    /// Redis did not answer. It may be away for long, and the cursor must not stay in doubt for ever.
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
