import NIOCore

/// A rate limit: an average number of events per second, plus a burst after a quiet period.
struct TokenRate: Sendable, Equatable {
    /// Nanoseconds between two events at the average rate. 0: no limit.
    fileprivate let interval: UInt64
    /// Capacity of the bucket, in nanoseconds.
    fileprivate let depth: UInt64

    /// - Parameters:
    ///   - perSecond: average rate. 0: no limit.
    ///   - burst: events allowed back to back when the bucket is full; at least 1.
    init(perSecond: Int, burst: Int) {
        interval = perSecond > 0 ? 1_000_000_000 / UInt64(perSecond) : 0
        depth = interval * UInt64(max(burst, 1))
    }

    var isLimited: Bool { interval > 0 }
}

/// A token bucket in eight bytes. The caller provides the clock.
///
/// Stores the time at which the bucket will be full again (the "theoretical arrival time" of the generic cell rate
/// algorithm, ITU-T I.371), so nothing needs refilling. `now` must not go backwards. A plain value: not synchronized.
struct TokenBucket: Sendable, Equatable {
    private var fullAt: UInt64 = 0

    /// Takes `count` tokens if there are enough. Otherwise takes none and returns false.
    mutating func take(_ count: Int = 1, of rate: TokenRate, at now: NIODeadline) -> Bool {
        guard rate.isLimited, count > 0 else { return true }
        let now = now.uptimeNanoseconds
        let (cost, isTooMuch) = rate.interval.multipliedReportingOverflow(by: UInt64(count))
        guard !isTooMuch, cost <= rate.depth else { return false }
        let after = max(fullAt, now) + cost
        guard after - now <= rate.depth else { return false }
        fullAt = after
        return true
    }
}
