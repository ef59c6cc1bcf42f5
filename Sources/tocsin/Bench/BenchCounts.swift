/// Counts of a bench's clients.
struct BenchCounts: Sendable {
    var ready = 0
    /// Clients that were ready and whose connection has ended.
    var closed = 0
    /// Clients that have received the run's first message, which is in no other count.
    var greeted = 0
    var delivered = 0
    var duplicates = 0
    var latency = LatencyHistogram()

    mutating func add(_ other: BenchCounts) {
        ready += other.ready
        closed += other.closed
        greeted += other.greeted
        delivered += other.delivered
        duplicates += other.duplicates
        latency.add(other.latency)
    }
}

/// Which of the latest 64 numbers a client has received. Detects duplicates that are no later than that.
struct SequenceWindow: Sendable {
    private var newest: UInt64 = 0
    private var seen: UInt64 = 0

    /// Returns false when the number was received before.
    mutating func insert(_ number: UInt64) -> Bool {
        if number > newest {
            let step = number - newest
            seen = step < 64 ? seen << step | 1 : 1
            newest = number
            return true
        }
        let age = newest - number
        guard age < 64 else { return true }
        let bit: UInt64 = 1 << age
        defer { seen |= bit }
        return seen & bit == 0
    }
}

/// A histogram of nanoseconds, with buckets at most 3 % wide.
struct LatencyHistogram: Sendable {
    private static let subBits = 5
    private static let sub = 1 << subBits
    private var counts = [Int](repeating: 0, count: (64 - subBits + 1) * sub)
    private(set) var total = 0
    private(set) var maximum: UInt64 = 0

    mutating func record(_ nanoseconds: UInt64) {
        counts[Self.bucket(nanoseconds)] += 1
        total += 1
        maximum = max(maximum, nanoseconds)
    }

    mutating func add(_ other: LatencyHistogram) {
        for index in counts.indices { counts[index] += other.counts[index] }
        total += other.total
        maximum = max(maximum, other.maximum)
    }

    /// The value that this fraction of all values does not exceed; 0 when empty.
    func quantile(_ share: Double) -> UInt64 {
        let rank = Int((share * Double(total)).rounded(.up))
        var seen = 0
        for (index, count) in counts.enumerated() where count > 0 {
            seen += count
            if seen >= rank { return min(Self.top(index), maximum) }
        }
        return maximum
    }

    private static func bucket(_ value: UInt64) -> Int {
        guard value >= UInt64(sub) else { return Int(value) }
        let shift = 63 - value.leadingZeroBitCount - subBits
        return (shift + 1) * sub + Int(value >> UInt64(shift)) - sub
    }

    /// The largest value of a bucket.
    private static func top(_ bucket: Int) -> UInt64 {
        guard bucket >= sub else { return UInt64(bucket) }
        let shift = UInt64(bucket / sub - 1)
        let next = UInt64(bucket % sub + sub + 1)
        return shift + 6 >= 64 && next == UInt64(2 * sub) ? .max : (next << shift) - 1
    }
}
