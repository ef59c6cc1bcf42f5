import Broker
import NIOCore

/// What is read: a group's log, after a position. nil: only the group's position.
struct ReadPlace: Hashable {
    var group: GroupName
    var since: Position?
}

/// Reads that wait, in turns: groups one after the other, a group's own in the order in which they came.
///
/// So a group that many read, each from somewhere else, costs another group's reader one turn and not all of theirs.
/// A value without I/O.
struct ReadTurns<Read> {
    private struct Group {
        var places: CircularBuffer<ReadPlace> = []
        /// How often it is in `turns`: once, or twice for a while after it was let go before others.
        var turns = 0
    }

    private var reads: [ReadPlace: Read] = [:]
    private var groups: [GroupName: Group] = [:]
    private var turns = CircularBuffer<GroupName>()

    var isEmpty: Bool { reads.isEmpty }
    var count: Int { reads.count }

    /// What waits at a place. Setting changes what is there; nil takes it out.
    subscript(place: ReadPlace) -> Read? {
        get { reads[place] }
        set {
            guard reads[place] != nil else { return }
            reads[place] = newValue
            guard newValue == nil, let index = groups[place.group]?.places.firstIndex(of: place) else { return }
            // The group's turn stays, and passes.
            groups[place.group]?.places.remove(at: index)
        }
    }

    /// Behind the group's others. Nothing waits at the place yet.
    mutating func append(_ read: Read, at place: ReadPlace) {
        reads[place] = read
        groups[place.group, default: Group()].places.append(place)
        queue(place.group)
    }

    /// Before the group's others: it was taken, and got nothing. Nothing waits at the place yet.
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

    /// The next turn is this group's.
    mutating func letGoFirst(_ group: GroupName) {
        guard groups[group] != nil else { return }
        groups[group]!.turns += 1
        turns.prepend(group)
    }

    /// The next ones, at most so many: one of each group, then another one of each, and so on.
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
