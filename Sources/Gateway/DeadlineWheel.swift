import NIOCore

/// Something that wants to be looked at again after some seconds.
protocol Ticking: AnyObject {
    /// Where it is in the wheel; the wheel's business.
    var wheelPlace: WheelPlace? { get set }
    /// The time has come. Returns after how many seconds again; nil: never.
    func tick() -> Int?
}

struct WheelPlace {
    fileprivate var slot: Int32
    fileprivate var index: Int32
}

/// The deadlines of all connections of one event loop: one timer for the loop, not one a connection.
///
/// Slots of one second in a ring; entering and leaving are O(1). Delays longer than the ring are cut to it, so whoever
/// waits longer is asked early and asks again. Lives on its loop.
struct DeadlineWheel {
    private static let size = 64
    private var slots = [[any Ticking]](repeating: [], count: Self.size)
    private var now = 0

    mutating func enter(_ one: any Ticking, in seconds: Int) {
        leave(one)
        let slot = (now + min(max(seconds, 1), Self.size - 1)) % Self.size
        one.wheelPlace = WheelPlace(slot: Int32(slot), index: Int32(slots[slot].count))
        slots[slot].append(one)
    }

    mutating func leave(_ one: any Ticking) {
        guard let place = one.wheelPlace else { return }
        one.wheelPlace = nil
        let slot = Int(place.slot), index = Int(place.index)
        let last = slots[slot].removeLast()
        if last !== one {
            slots[slot][index] = last
            last.wheelPlace = place
        }
    }

    /// A second has passed. Returns whose time has come; they have left the wheel.
    mutating func advance() -> [any Ticking] {
        now = (now + 1) % Self.size
        let due = slots[now]
        slots[now] = []
        for one in due { one.wheelPlace = nil }
        return due
    }
}
