public import NIOCore

/// Which lines a trouble that goes on, or comes and goes, is worth in the log: its first moment, then one a minute, and
/// one when it is over.
///
/// A value without I/O. A kind is what troubles have in common whose texts differ: an error's first word.
///
/// ```
///   begins(kind) ──▶ say it (nil: it was said less than a minute ago)        ends() ──▶ say so, if it was said
/// ```
public struct TroubleLog: Sendable {
    private static let patience = TimeAmount.seconds(60)
    /// More kinds than Redis has: a server that makes them up does not fill the memory.
    private static let limit = 32

    private var due: [Substring: NIODeadline] = [:]
    private var held = 0
    private var wasSaid = false

    public init() {}

    /// - Returns: nil: do not log. Otherwise how many were not logged since the last line.
    public mutating func begins(_ kind: Substring, now: NIODeadline = .now()) -> Int? {
        if let next = due[kind], now < next {
            held += 1
            return nil
        }
        if due.count >= Self.limit { due = [:] }
        due[kind] = now + Self.patience
        wasSaid = true
        defer { held = 0 }
        return held
    }

    /// - Returns: whether its end is worth a line.
    public mutating func ends() -> Bool {
        defer { wasSaid = false }
        return wasSaid
    }
}
