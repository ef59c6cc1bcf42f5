import NIOCore

/// How often something may happen: so many times a second on average, and so many at once after a rest.
struct TokenRate: Sendable, Equatable {
    /// Between two of an even stream, nanoseconds. 0: no limit.
    fileprivate let interval: UInt64
    /// What a full bucket holds, nanoseconds' worth.
    fileprivate let depth: UInt64

    /// - Parameters:
    ///   - perSecond: on average. 0: no limit.
    ///   - burst: at once when the bucket is full; 1 at least.
    init(perSecond: Int, burst: Int) {
        interval = perSecond > 0 ? 1_000_000_000 / UInt64(perSecond) : 0
        depth = interval * UInt64(max(burst, 1))
    }

    var isLimited: Bool { interval > 0 }
}

/// A token bucket: eight bytes a connection, and the clock is the caller's.
///
/// Kept as the time at which it will be full again (the "theoretical arrival time" of the generic cell rate algorithm,
/// ITU-T I.371), so that nothing has to be refilled. Time must not run backwards; no thread rules but a value's.
struct TokenBucket: Sendable, Equatable {
    private var fullAt: UInt64 = 0

    /// Takes tokens if there are so many. None are taken when there are fewer.
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
