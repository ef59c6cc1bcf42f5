/// Decides when to ask Redis for what is due: once a second, at the time that Redis named if it comes before that, and again
/// at once while there is more than one call does.
///
/// A value without I/O.
struct DueTurn {
    enum State: Equatable {
        /// The layer is not in use.
        case paused
        case idle
        /// A call is in flight.
        case running
    }

    enum Action: Equatable {
        /// Ask whether anything waits at all, which is cheaper than the call; call `checked` with the answer.
        case check
        /// Call `due_run`, and then `ran` or `failed`.
        case run
        /// Call `timerFired` after that many milliseconds.
        case startTimer(milliseconds: Int)
    }

    /// Entries in one call.
    static let limit = 100
    private static let second = 1000

    private(set) var state = State.paused
    private var hasTimer = false

    mutating func resume() -> Action? {
        guard state == .paused else { return nil }
        state = .idle
        return .check
    }

    /// The timer and the call that may be under way come to nothing.
    mutating func pause() { state = .paused }

    /// Call once a second.
    mutating func tick() -> Action? { state == .idle ? .check : nil }

    mutating func checked(anythingWaits: Bool) -> Action? {
        guard state == .idle, anythingWaits else { return nil }
        state = .running
        return .run
    }

    /// - Parameters:
    ///   - done: entries of this call.
    ///   - wait: milliseconds until the next one is due; nil: none waits.
    mutating func ran(done: Int, wait: Int?) -> Action? {
        guard state == .running else { return nil }
        if done >= Self.limit || wait == 0 && done > 0 { return .run }
        state = .idle
        guard let wait, wait < Self.second, !hasTimer else { return nil }
        hasTimer = true
        return .startTimer(milliseconds: wait + 1)
    }

    /// The next tick tries again.
    mutating func failed() { if state == .running { state = .idle } }

    mutating func timerFired() -> Action? {
        hasTimer = false
        guard state == .idle else { return nil }
        state = .running
        return .run
    }
}
