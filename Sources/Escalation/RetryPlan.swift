/// What a try's outcome means, and when the next one is due.
///
/// The pauses grow from five seconds to two hours, until a day has passed since the escalation.
struct RetryPlan: Sendable, Equatable {
    enum Kind: Sendable { case webhook, webPush }

    enum Outcome: Sendable, Equatable {
        /// - Parameter retryAfter: the header's seconds from now.
        case answered(status: Int, retryAfter: Double?)
        /// No complete response head: the network, TLS, a time-out.
        case failed(reason: String)
        /// It would be the same with every try.
        case impossible(reason: String)
    }

    /// In seconds, before the second, third, … try; the last one repeats.
    static let pauses: [Double] = [5, 30, 120, 600, 1800, 3600, 7200]
    /// Seconds from the escalation to the last try.
    static let lifetime: Double = 86400
    /// The longest that a server's Retry-After can postpone the next try, in seconds.
    static let longestRetryAfter: Double = 7200
    /// A pause is this much shorter or longer by chance, so that what failed together is not retried together.
    static let jitter = 0.2

    let kind: Kind
    /// The try that has ended; 1 for the first.
    let attempt: Int
    /// Seconds since the escalation.
    let age: Double
    /// Seconds from the escalation after which it is worth nothing any more. nil: never.
    var ttl: Double?

    /// - Parameter chance: from 0 to below 1.
    func result(of outcome: Outcome, chance: Double) -> EscalationResult {
        switch (outcome, kind) {
        case (.impossible(let reason), _): .dead(reason: reason)
        case (.failed(let reason), _): later(reason, notBefore: 0, chance)
        case (.answered(200..<300, _), _): .done
        case (.answered(410, _), .webhook): .dead(reason: "answered 410: the address is gone for good")
        case (.answered(404, _), .webPush), (.answered(410, _), .webPush): .gone
        case (.answered(413, _), .webPush): .dead(reason: "answered 413: the payload is too large")
        case (.answered(let status, _), _) where (300..<400).contains(status):
            later("answered \(status): redirects are not followed", notBefore: 0, chance)
        case (.answered(let status, let retryAfter), _):
            if kind == .webPush, (400..<500).contains(status), !Self.passing.contains(status) {
                .dead(reason: "answered \(status)")
            } else {
                later("answered \(status)", notBefore: [429, 503].contains(status) ? retryAfter ?? 0 : 0, chance)
            }
        }
    }

    /// 4xx that are not about the request itself: time-out, too early, too many.
    private static let passing: Set<Int> = [408, 425, 429]

    private func later(_ reason: String, notBefore: Double, _ chance: Double) -> EscalationResult {
        let pause =
            Self.pauses[min(max(attempt, 1), Self.pauses.count) - 1] * (1 - Self.jitter + 2 * Self.jitter * chance)
        let after = max(pause, min(notBefore, Self.longestRetryAfter))
        let end = min(ttl ?? Self.lifetime, Self.lifetime)
        guard age + after <= end else {
            let limit = end == Self.lifetime ? "a day" : "its ttl of \(Int(end)) s"
            return .dead(reason: "\(reason); the next try would be later than \(limit) after the escalation")
        }
        return .retry(after: after, reason: reason)
    }
}
