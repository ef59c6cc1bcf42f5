import NIOCore

/// An object that wants to be called again after a number of seconds.
protocol DeadlineOwner: AnyObject {
    /// Its position in the wheel. Set only by the wheel.
    var wheelPlace: WheelPlace? { get set }
    /// Called when its time has come. Returns the seconds until the next call; nil: none.
    func tick() -> Int?
}

struct WheelPlace {
    fileprivate var slot: Int32
    fileprivate var index: Int32
}

/// The deadlines of all connections of one event loop: one timer per loop instead of one per connection.
///
/// A ring of one-second slots; entering and leaving are O(1). A delay longer than the ring is cut to its length, so its
/// owner is called early and enters again. Used only on its loop.
struct DeadlineWheel {
    private static let size = 64
    private var slots = [[any DeadlineOwner]](repeating: [], count: Self.size)
    private var now = 0

    mutating func enter(_ one: any DeadlineOwner, in seconds: Int) {
        leave(one)
        let slot = (now + min(max(seconds, 1), Self.size - 1)) % Self.size
        one.wheelPlace = WheelPlace(slot: Int32(slot), index: Int32(slots[slot].count))
        slots[slot].append(one)
    }

    mutating func leave(_ one: any DeadlineOwner) {
        guard let place = one.wheelPlace else { return }
        one.wheelPlace = nil
        let slot = Int(place.slot), index = Int(place.index)
        let last = slots[slot].removeLast()
        if last !== one {
            slots[slot][index] = last
            last.wheelPlace = place
        }
    }

    /// Advances by one second. Returns the objects that are due, which have left the wheel.
    mutating func advance() -> [any DeadlineOwner] {
        now = (now + 1) % Self.size
        let due = slots[now]
        slots[now] = []
        for one in due { one.wheelPlace = nil }
        return due
    }
}
