import Broker
import NIOCore

/// The read states of one connection's inboxes: read from Redis when it has joined, then changed as its user's devices change them.
///
/// Lives on its shard's loop; owned by what speaks to the client.
final class InboxStates {
    private static let pause = TimeAmount.milliseconds(500)

    private let desk: InboxDesk
    /// The groups with an inbox of this user.
    private(set) var inboxes: [GroupName]
    /// What was read, by group, once Redis has told.
    private var marks: [GroupName: ReadMarks] = [:]
    /// Inboxes whose state has changed while it was being read.
    private var doubted: Set<GroupName> = []
    private var isEnded = false
    /// Called with each state that the client is to be told, and what was marked if that was a single message.
    private let tell: (GroupName, ReadMark?) -> Void
    /// Called once, when all states have been told.
    private var isReady: (() -> Void)?

    /// - Parameters:
    ///   - tell: must not keep its owner alive.
    ///   - starts: of the groups, with what their policies keep.
    init(
        _ desk: InboxDesk, _ groups: [GroupName], _ starts: [Session.Start],
        tell: @escaping (GroupName, ReadMark?) -> Void
    ) {
        self.desk = desk
        self.tell = tell
        inboxes = zip(groups, starts).filter { $1.tracking == .inbox }.map { $0.0 }
    }

    /// Reads all states. Where Redis cannot be reached, again every half second.
    func begin(_ isReady: @escaping () -> Void) {
        self.isReady = isReady
        for group in inboxes { read(group) }
        checkReady()
    }

    /// Call when the connection has ended.
    func end() {
        isEnded = true
        isReady = nil
    }

    func state(of group: GroupName) -> InboxState? { marks[group]?.state }

    func isRead(_ position: Position, in group: GroupName) -> Bool { marks[group]?.isRead(position) ?? false }

    /// A change in one of the connection's groups, by any user.
    func changed(_ group: GroupName, _ change: ReadStateChange) {
        // Without a login the group's name has let the client in: it is one user's.
        guard inboxes.contains(group), desk.user == nil || desk.user == change.user else { return }
        guard marks[group] != nil else {
            doubted.insert(group)
            return
        }
        marks[group]?.apply(change)
        tell(group, change.mark)
    }

    private func read(_ group: GroupName) {
        doubted.remove(group)
        let page = desk.backplane.inbox(of: group, user: desk.user, before: nil, limit: 0).hop(to: desk.eventLoop)
        page.assumeIsolated().whenComplete { result in
            if !self.isEnded { self.arrived(result, group) }
        }
    }

    private func arrived(_ result: Result<InboxPage, any Error>, _ group: GroupName) {
        switch result {
        case .success where doubted.contains(group): return read(group)
        case .success(let page):
            marks[group] = ReadMarks(page.state)
            tell(group, nil)
        case .failure(let error as BackplaneError) where error.code == .refused:
            // The group's inboxes belong to other users.
            inboxes.removeAll { $0 == group }
        case .failure:
            desk.eventLoop.assumeIsolated().scheduleTask(in: Self.pause) { if !self.isEnded { self.read(group) } }
        }
        checkReady()
    }

    private func checkReady() {
        guard inboxes.allSatisfy({ marks[$0] != nil }) else { return }
        let call = isReady
        isReady = nil
        call?()
    }
}

@available(*, unavailable) extension InboxStates: Sendable {}
