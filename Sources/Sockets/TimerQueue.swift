import NIOCore
import Synchronization

/// The few timers of an event loop, in the order of their deadlines: a clock tick, a retry. Clients have none of their own
/// (`DeadlineWheel`).
///
/// On its loop only; a timer may be cancelled from anywhere.
struct TimerQueue {
    final class Timer: Sendable {
        let deadline: NIODeadline
        let isCancelled = Atomic<Bool>(false)
        /// Run, and let go of, on the loop only; others hold a timer to cancel it. Told whether its time has come: not when the
        /// loop ends before.
        fileprivate nonisolated(unsafe) let body: (_ isDue: Bool) -> Void

        init(deadline: NIODeadline, _ body: @escaping (_ isDue: Bool) -> Void) {
            self.deadline = deadline
            self.body = body
        }
    }

    /// The latest first, so that the next one due is at the end.
    private var timers: [Timer] = []

    mutating func insert(_ timer: Timer) {
        let index = timers.firstIndex { $0.deadline <= timer.deadline } ?? timers.count
        timers.insert(timer, at: index)
    }

    /// Takes out what is due.
    mutating func due(_ now: NIODeadline) -> [(_ isDue: Bool) -> Void] {
        var due: [(Bool) -> Void] = []
        while let last = timers.last, last.deadline <= now || last.isCancelled.load(ordering: .relaxed) {
            timers.removeLast()
            if !last.isCancelled.load(ordering: .relaxed) { due.append(last.body) }
        }
        return due
    }

    /// Takes out all that are left, the next one first.
    mutating func all() -> [(_ isDue: Bool) -> Void] {
        defer { timers = [] }
        return timers.reversed().filter { !$0.isCancelled.load(ordering: .relaxed) }.map(\.body)
    }

    /// Until the next one, rounded up; -1: there is none.
    func millisecondsLeft(_ now: NIODeadline) -> CInt {
        guard let next = timers.last else { return -1 }
        let left = (next.deadline - now).nanoseconds
        return left <= 0 ? 0 : CInt(clamping: (left + 999_999) / 1_000_000)
    }
}
