/// Decides when to ask Redis for what is due: once a second, and at the time that Redis named if it comes before that.
///
/// While more is due than one call handles, one gateway of the fleet keeps calling and pauses after each call, so that other
/// clients of Redis wait for one short call at most. The other gateways make one call a second.
///
/// A value without I/O.
struct DueTurn {
    enum State: Equatable {
        /// The layer is not in use.
        case paused
        case idle
        /// A call is in flight.
        case running
        /// More is due: the next call follows a pause.
        case pausing
    }

    enum Action: Equatable {
        /// Ask whether anything waits at all, which is cheaper than the call; call `checked` with the answer.
        case check
        /// Call `due_run`, and then `ran` or `failed`.
        case run
        /// Call `timerFired` after that many milliseconds.
        case startTimer(milliseconds: Int)
        /// Call `pauseEnded` after that many milliseconds.
        case startPause(milliseconds: Int)
    }

    /// Entries in one call, which takes Redis one or two milliseconds; and the pause after it. 100,000 take 40 s.
    static let limit = 30
    static let pauseMilliseconds = 10
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
    ///   - isFirst: this gateway is the one that goes on.
    mutating func ran(done: Int, wait: Int?, isFirst: Bool) -> Action? {
        guard state == .running else { return nil }
        if done >= Self.limit || wait == 0 && done > 0 {
            state = isFirst ? .pausing : .idle
            return isFirst ? .startPause(milliseconds: Self.pauseMilliseconds) : nil
        }
        state = .idle
        guard let wait, wait < Self.second, !hasTimer else { return nil }
        hasTimer = true
        return .startTimer(milliseconds: wait + 1)
    }

    /// The next tick tries again.
    mutating func failed() { if state == .running { state = .idle } }

    mutating func pauseEnded() -> Action? {
        guard state == .pausing else { return nil }
        state = .running
        return .run
    }

    mutating func timerFired() -> Action? {
        hasTimer = false
        guard state == .idle else { return nil }
        state = .running
        return .run
    }
}
