import Broker
import Sockets

/// The groups that this gateway serves, their local connections, and which outlets want their messages.
///
/// A value without I/O. Keyed by the pub/sub channel's name, which is what messages come with.
struct GroupTable {
    struct Entry {
        let group: GroupName
        /// The group's policy, as last returned by Redis.
        fileprivate(set) var terms = GroupTerms()
        var members: [ConnectionID: Member] = [:]
        /// Number of members per outlet, up to the last outlet that had one.
        fileprivate var interest: [Int] = []

        func interests(_ outlet: Int) -> Bool { outlet < interest.count && interest[outlet] > 0 }

        /// - Returns: whether the member is new.
        fileprivate mutating func add(_ member: Member, outlet: Int) -> Bool {
            while interest.count <= outlet { interest.append(0) }
            guard members.updateValue(member, forKey: member.connection) == nil else { return false }
            interest[outlet] += 1
            return true
        }

        /// - Returns: the number of members left; nil when it was not a member.
        fileprivate mutating func remove(_ connection: ConnectionID, outlet: Int) -> Int? {
            guard members.removeValue(forKey: connection) != nil else { return nil }
            interest[outlet] -= 1
            return members.count
        }
    }

    private var entries: [String: Entry] = [:]
    /// Number of memberships; a connection counts once per group.
    private(set) var memberships = 0

    var count: Int { entries.count }

    subscript(channel: String) -> Entry? { entries[channel] }

    func contains(_ connection: ConnectionID, channel: String) -> Bool {
        entries[channel]?.members[connection] != nil
    }

    mutating func add(_ member: Member, to group: GroupName, channel: String, outlet: Int) {
        if entries[channel] == nil { entries[channel] = Entry(group: group) }
        if entries[channel]!.add(member, outlet: outlet) { memberships += 1 }
    }

    /// Call when a join was answered. Returns the previous terms; nil: the group has been left meanwhile.
    mutating func learn(_ terms: GroupTerms, channel: String) -> GroupTerms? {
        guard let index = entries.index(forKey: channel) else { return nil }
        let before = entries.values[index].terms
        if before != terms { entries.values[index].terms = terms }
        return before
    }

    enum DiscardAction: Equatable { case notAMember, others, last(GroupTerms) }

    mutating func discard(_ connection: ConnectionID, channel: String, outlet: Int) -> DiscardAction {
        guard let left = entries[channel]?.remove(connection, outlet: outlet) else { return .notAMember }
        memberships -= 1
        if left > 0 { return .others }
        return .last(entries.removeValue(forKey: channel)!.terms)
    }

    mutating func releaseSlack() { entries.releaseSlack() }

    /// The groups whose messages are not logged.
    var unlogged: [Entry] { entries.values.filter { !$0.terms.isLogged } }

    /// All memberships, for writing them again.
    var all: [(group: GroupName, member: Member)] {
        entries.values.flatMap { entry in entry.members.values.map { (entry.group, $0) } }
    }
}
