import Broker
import NIOCore

/// What to read: a group's log, after a position. nil: only the group's position.
struct ReadPlace: Hashable {
    var group: GroupName
    var since: Position?
}

/// Queues reads fairly: groups take turns, and each group's own reads are in order of arrival.
///
/// If many readers read one group from different positions, a reader of another group waits for one of them, not for all.
/// A value without I/O.
struct ReadTurns<Read> {
    private struct Group {
        var places: CircularBuffer<ReadPlace> = []
        /// How often the group is in `turns`: once, or twice for a while after `letGoFirst`.
        var turns = 0
    }

    private var reads: [ReadPlace: Read] = [:]
    private var groups: [GroupName: Group] = [:]
    private var turns = CircularBuffer<GroupName>()

    var isEmpty: Bool { reads.isEmpty }
    var count: Int { reads.count }

    /// The read that waits at a place. Can be changed; nil removes it.
    subscript(place: ReadPlace) -> Read? {
        get { reads[place] }
        set {
            guard reads[place] != nil else { return }
            reads[place] = newValue
            guard newValue == nil, let index = groups[place.group]?.places.firstIndex(of: place) else { return }
            // The group keeps its turn, which will be skipped if it has nothing left.
            groups[place.group]?.places.remove(at: index)
        }
    }

    /// Adds a read after the group's others. Nothing must be waiting at the place.
    mutating func append(_ read: Read, at place: ReadPlace) {
        reads[place] = read
        groups[place.group, default: Group()].places.append(place)
        queue(place.group)
    }

    /// Puts a read back before the group's others, after it was taken but not served. Nothing must be waiting at the place.
    mutating func putBack(_ read: Read, at place: ReadPlace) {
        reads[place] = read
        groups[place.group, default: Group()].places.prepend(place)
        queue(place.group)
    }

    private mutating func queue(_ group: GroupName) {
        guard groups[group]!.turns == 0 else { return }
        groups[group]!.turns = 1
        turns.append(group)
    }

    /// Gives this group the next turn.
    mutating func letGoFirst(_ group: GroupName) {
        guard groups[group] != nil else { return }
        groups[group]!.turns += 1
        turns.prepend(group)
    }

    /// Takes at most `most` reads: one of each group, then another one of each, and so on.
    mutating func take(_ most: Int) -> [(place: ReadPlace, read: Read)] {
        var taken: [(place: ReadPlace, read: Read)] = []
        while taken.count < most, let name = turns.popFirst() {
            guard var group = groups.removeValue(forKey: name) else { continue }
            group.turns -= 1
            if let place = group.places.popFirst(), let read = reads.removeValue(forKey: place) {
                taken.append((place, read))
            }
            if !group.places.isEmpty, group.turns == 0 {
                group.turns = 1
                turns.append(name)
            }
            if group.turns > 0 { groups[name] = group }
        }
        return taken
    }
}
