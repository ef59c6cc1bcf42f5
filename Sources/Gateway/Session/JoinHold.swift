import Broker

/// Keeps groups alive on their loop while a client joins them: publications are tracked from then on, so that nothing
/// between the join and the client's first read is missed. Ends with its owner: when the session has taken the groups
/// over, or when the join has failed or was cancelled.
///
/// Used on its shard's loop only.
struct JoinHold: ~Copyable {
    let members: [GroupMembers]
    private let shard: Shard

    init(_ groups: [GroupName], on shard: Shard) {
        members = groups.map { shard.members(of: $0) }
        self.shard = shard
        for group in members { group.hold() }
    }

    deinit {
        for group in members {
            group.release()
            shard.tidy(group)
        }
    }
}
