/// Decides which claimed tasks are sent, which wait for a slot of their origin, and which go back to the queue, so that an
/// origin that hangs keeps neither all slots nor others' tasks.
///
/// A task is held from its claim until `ended`; never more than `capacity` are held, plus what a claim on its way may bring.
struct SendingSlots {
    struct Claim: Equatable {
        var id: String
        var origin: String
    }

    enum Action: Equatable {
        case claim(limit: Int)
        case start(String)
        /// Its origin is busy, or the sender stops: somebody else, or a later moment, may have a slot.
        case putBack(String)
        /// Nothing is held and nothing will be claimed any more. Comes once.
        case stopped
    }

    private enum Phase { case running, stopping, stopped }

    private struct Origin {
        var inFlight = 0
        /// A task has waited too long for it: what it has no slot for is put back at once, until it has caught up.
        var isBusy = false
    }

    private struct Waiting {
        var claim: Claim
        var ticks = 0
    }

    /// Ticks of a second each that a task waits for a slot of its origin.
    static let patience = 2

    private let capacity: Int
    private let perOrigin: Int
    private var phase = Phase.running
    private var isClaiming = false
    /// More may be due than was claimed last.
    private var mayBeMore = false
    /// Woken during a claim, which may have come too early to see why.
    private var isWoken = false
    private var inFlight: [String: String] = [:]
    private var waiting: [Waiting] = []
    private var goingBack: Set<String> = []
    /// Origins with something in flight.
    private var origins: [String: Origin] = [:]

    init(capacity: Int, perOrigin: Int) {
        precondition(capacity > 0 && (1...capacity).contains(perOrigin))
        (self.capacity, self.perOrigin) = (capacity, perOrigin)
    }

    var held: Int { inFlight.count + waiting.count + goingBack.count }
    var isStopping: Bool { phase != .running }

    // MARK: Events

    /// Something may be due.
    mutating func wake() -> [Action] {
        guard phase == .running else { return [] }
        mayBeMore = true
        isWoken = isClaiming
        return claim()
    }

    /// A second has passed.
    mutating func tick() -> [Action] {
        guard phase == .running else { return [] }
        for index in waiting.indices {
            waiting[index].ticks += 1
            if waiting[index].ticks >= Self.patience { origins[waiting[index].claim.origin]?.isBusy = true }
        }
        let late = waiting.filter { origins[$0.claim.origin]?.isBusy ?? false }
        waiting.removeAll { origins[$0.claim.origin]?.isBusy ?? false }
        mayBeMore = true
        return late.map { putBack($0.claim.id) } + claim()
    }

    /// - Parameter limit: of the claim that was answered.
    mutating func claimed(_ claims: [Claim], limit: Int) -> [Action] {
        guard isClaiming else { return [] }
        isClaiming = false
        mayBeMore = claims.count >= limit || isWoken
        isWoken = false
        let actions = claims.compactMap { admit($0) }
        return actions + claim() + stoppedIfEmpty()
    }

    /// The queue could not be asked: the next tick tries again.
    mutating func claimFailed() -> [Action] {
        guard isClaiming else { return [] }
        (isClaiming, isWoken, mayBeMore) = (false, false, false)
        return stoppedIfEmpty()
    }

    /// A task that was started or put back is finished, and the queue knows.
    mutating func ended(_ id: String) -> [Action] {
        if goingBack.remove(id) != nil { return claim() + stoppedIfEmpty() }
        guard let name = inFlight.removeValue(forKey: id), var origin = origins[name] else { return [] }
        origin.inFlight -= 1
        if origin.inFlight <= perOrigin / 2 { origin.isBusy = false }
        origins[name] = origin.inFlight == 0 ? nil : origin
        var actions: [Action] = []
        if let next = waiting.firstIndex(where: { $0.claim.origin == name }) {
            actions.append(start(waiting.remove(at: next).claim))
        }
        return actions + claim() + stoppedIfEmpty()
    }

    /// What is in flight is finished; everything else is put back.
    mutating func stop() -> [Action] {
        guard phase == .running else { return [] }
        phase = .stopping
        let rest = waiting
        waiting = []
        return rest.map { putBack($0.claim.id) } + stoppedIfEmpty()
    }

    // MARK: Steps

    /// nil: it is held already, because its claim expired before it was finished.
    private mutating func admit(_ claim: Claim) -> Action? {
        guard inFlight[claim.id] == nil, !goingBack.contains(claim.id),
            !waiting.contains(where: { $0.claim.id == claim.id })
        else { return nil }
        guard phase == .running else { return putBack(claim.id) }
        let origin = origins[claim.origin] ?? Origin()
        if origin.inFlight < perOrigin { return start(claim) }
        if origin.isBusy { return putBack(claim.id) }
        waiting.append(Waiting(claim: claim))
        return nil
    }

    private mutating func start(_ claim: Claim) -> Action {
        inFlight[claim.id] = claim.origin
        origins[claim.origin, default: Origin()].inFlight += 1
        return .start(claim.id)
    }

    private mutating func putBack(_ id: String) -> Action {
        goingBack.insert(id)
        return .putBack(id)
    }

    private mutating func claim() -> [Action] {
        guard phase == .running, !isClaiming, mayBeMore, held < capacity else { return [] }
        isClaiming = true
        return [.claim(limit: capacity - held)]
    }

    private mutating func stoppedIfEmpty() -> [Action] {
        guard phase == .stopping, !isClaiming, held == 0 else { return [] }
        phase = .stopped
        return [.stopped]
    }
}
