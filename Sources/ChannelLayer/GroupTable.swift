import Broker

/// The groups that this gateway serves, its own connections in them, and which outlets want their messages.
///
/// A value without I/O. Found by the pub/sub channel's name, which is what a message brings.
struct GroupTable {
    struct Entry {
        let group: GroupName
        /// Whether the policy keeps history of it.
        let isLogged: Bool
        var members: [ConnectionID: Member] = [:]
        /// Members per outlet, as far as any outlet had one.
        fileprivate var interest: [Int] = []

        func interests(_ outlet: Int) -> Bool { outlet < interest.count && interest[outlet] > 0 }
    }

    private var entries: [String: Entry] = [:]
    /// A connection counts once per group.
    private(set) var memberships = 0

    var count: Int { entries.count }
    private let policies: [GroupPolicy]

    init(policies: [GroupPolicy] = []) { self.policies = policies }

    private func isLogged(_ group: GroupName) -> Bool {
        policies.first { GroupPattern($0.match).matches(group) }.map { $0.historySize > 0 } ?? true
    }

    subscript(channel: String) -> Entry? { entries[channel] }

    func contains(_ connection: ConnectionID, channel: String) -> Bool {
        entries[channel]?.members[connection] != nil
    }

    mutating func add(_ member: Member, to group: GroupName, channel: String, outlet: Int) {
        var entry = entries.removeValue(forKey: channel) ?? Entry(group: group, isLogged: isLogged(group))
        defer { entries[channel] = entry }
        while entry.interest.count <= outlet { entry.interest.append(0) }
        guard entry.members.updateValue(member, forKey: member.connection) == nil else { return }
        entry.interest[outlet] += 1
        memberships += 1
    }

    enum DiscardAction: Equatable { case notAMember, others, last }

    mutating func discard(_ connection: ConnectionID, channel: String, outlet: Int) -> DiscardAction {
        guard var entry = entries.removeValue(forKey: channel) else { return .notAMember }
        guard entry.members.removeValue(forKey: connection) != nil else {
            entries[channel] = entry
            return .notAMember
        }
        entry.interest[outlet] -= 1
        memberships -= 1
        if entry.members.isEmpty { return .last }
        entries[channel] = entry
        return .others
    }

    /// Everything, for writing all memberships again.
    var all: [(group: GroupName, member: Member)] {
        entries.values.flatMap { entry in entry.members.values.map { (entry.group, $0) } }
    }
}
