import NIOCore
import Synchronization

/// The few timers of an event loop, sorted by deadline: a clock tick, a retry. Clients have none of their own
/// (`DeadlineWheel`).
///
/// Used on its loop only, but a timer may be cancelled from anywhere.
struct TimerQueue {
    final class Timer: Sendable {
        let deadline: NIODeadline
        let isCancelled = Atomic<Bool>(false)
        /// Run and released on the loop only; others hold the timer just to cancel it. isDue: false when the loop ends before the
        /// deadline.
        fileprivate nonisolated(unsafe) let body: (_ isDue: Bool) -> Void

        init(deadline: NIODeadline, _ body: @escaping (_ isDue: Bool) -> Void) {
            self.deadline = deadline
            self.body = body
        }
    }

    /// The latest deadline first, so that the next due timer is last.
    private var timers: [Timer] = []

    mutating func insert(_ timer: Timer) {
        let index = timers.firstIndex { $0.deadline <= timer.deadline } ?? timers.count
        timers.insert(timer, at: index)
    }

    /// Removes and returns the timers that are due.
    mutating func due(_ now: NIODeadline) -> [(_ isDue: Bool) -> Void] {
        var due: [(Bool) -> Void] = []
        while let last = timers.last, last.deadline <= now || last.isCancelled.load(ordering: .relaxed) {
            timers.removeLast()
            if !last.isCancelled.load(ordering: .relaxed) { due.append(last.body) }
        }
        return due
    }

    /// Removes and returns all remaining timers, the next due first.
    mutating func all() -> [(_ isDue: Bool) -> Void] {
        defer { timers = [] }
        return timers.reversed().filter { !$0.isCancelled.load(ordering: .relaxed) }.map(\.body)
    }

    /// Milliseconds until the next timer, rounded up; -1: none.
    func millisecondsLeft(_ now: NIODeadline) -> CInt {
        guard let next = timers.last else { return -1 }
        let left = (next.deadline - now).nanoseconds
        return left <= 0 ? 0 : CInt(clamping: (left + 999_999) / 1_000_000)
    }
}
