public import NIOCore

/// Decides which log lines a persistent or recurring problem gets: one when it begins, then one per minute, and one when it
/// ends.
///
/// A value without I/O. The kind groups errors whose texts differ: it is an error's first word.
///
/// ```
///   begins(kind) ──▶ log it (nil: logged less than a minute ago)          ends() ──▶ log it, if the problem was logged
/// ```
public struct TroubleLog: Sendable {
    private static let patience = TimeAmount.seconds(60)
    /// More kinds than Redis has; bounds memory if a server makes them up.
    private static let limit = 32

    private var due: [Substring: NIODeadline] = [:]
    private var held = 0
    private var wasSaid = false

    public init() {}

    /// - Returns: nil: do not log. Otherwise the number of events suppressed since the last line.
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

    /// - Returns: whether the end should be logged.
    public mutating func ends() -> Bool {
        defer { wasSaid = false }
        return wasSaid
    }
}
