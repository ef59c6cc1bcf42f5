import NIOCore

/// The clients of a loop that pause between two pings, in the order in which their pauses end: one timer for all of them. Bounded
/// by the number of clients, as none pauses twice.
///
/// A value without I/O. Used only on its loop.
struct ProofPauses {
    private static let length = TimeAmount.milliseconds(DeliveryProof.pauseMilliseconds)
    /// So that many pauses end in one turn of the loop.
    private static let shortestWait = TimeAmount.milliseconds(10)

    private var waiting: [(end: NIODeadline, prover: DeliveryProver)] = []

    /// - Returns: the time until `due` must be called; nil: it will be called in any case.
    mutating func enter(_ prover: DeliveryProver, at now: NIODeadline) -> TimeAmount? {
        waiting.append((now + Self.length, prover))
        return waiting.count == 1 ? Self.length : nil
    }

    /// - Returns: those whose pause is over, and the time until the next call; nil: none is needed.
    mutating func due(at now: NIODeadline) -> (over: [DeliveryProver], wait: TimeAmount?) {
        let count = waiting.firstIndex { $0.end > now } ?? waiting.count
        let over = waiting[..<count].map(\.prover)
        waiting.removeFirst(count)
        return (over, waiting.first.map { max($0.end - now, Self.shortestWait) })
    }
}
