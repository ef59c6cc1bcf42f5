public import Broker

/// The terms of a send as texts, from a query or a command line; each means what the option of `group_send` with its name means
/// (redis/README.md, "Functions"). nil: not given.
public struct SendTerms: Sendable, Equatable {
    /// Seconds, 1 to 315,360,000 (ten years).
    public var ttl: String?
    /// 1 to 200 bytes.
    public var key: String?
    /// Messages, 0 to 1,000,000.
    public var size: String?
    /// 1 to 200 bytes.
    public var collapse: String?
    /// `very-low`, `low`, `normal` or `high`.
    public var urgency: String?
    /// Seconds, 0 to 315,360,000; 0: never.
    public var escalate: String?
    /// `delivered` or `read`; only with `escalate`.
    public var unless: String?
    /// Seconds since 1970, with at most three decimals.
    public var at: String?
    /// Seconds with at most three decimals, or a duration: `90s`, `5m`, `2h`, `1d`. Not with `at`.
    public var after: String?

    public init() {}

    /// Seconds that a message may be put off, live, or wait for its user: ten years.
    static let longest = 315_360_000
    static let sizes = 0...1_000_000
    static let keyBytes = 1...200
    /// The end of the year 9999.
    static let lastSecond = 253_402_300_799.0

    /// A term that `group_send` would refuse.
    public struct Refusal: Error, Sendable, Equatable {
        /// The term's name in a query: `in`.
        public let term: String
        /// What is wrong, without the name.
        public let problem: String
        public let remedy: String

        public init(_ term: String, _ problem: String, _ remedy: String) {
            self.term = term
            self.problem = problem
            self.remedy = remedy
        }
    }

    /// - Throws: `Refusal` for the first term that is invalid.
    public func options() throws(Refusal) -> SendOptions {
        var options = SendOptions(
            ttl: try Self.number("ttl", ttl, 1...Self.longest, "a number of seconds"), key: try Self.name("key", key))
        options.size = try Self.number("size", size, Self.sizes, "a number of messages")
        options.collapse = try Self.name("collapse", collapse)
        options.urgency = try Self.choice("urgency", urgency)
        options.escalation = try escalation()
        options.time = try time()
        return options
    }

    private func escalation() throws(Refusal) -> SendOptions.Escalation? {
        let seen: SendOptions.Seen? = try Self.choice("unless", unless)
        guard let seconds = try Self.number("escalate", escalate, 0...Self.longest, "a number of seconds") else {
            guard seen == nil else {
                throw Refusal("unless", "is only for a message that is escalated", "give escalate too, in seconds")
            }
            return nil
        }
        return SendOptions.Escalation(after: seconds, unless: seen)
    }

    private func time() throws(Refusal) -> SendOptions.Time? {
        if at != nil, after != nil {
            throw Refusal("at", "and in are both given, and a message is sent once", "give one of them")
        }
        if let at {
            guard let seconds = SecondsText.seconds(at), seconds <= Self.lastSecond else {
                throw Refusal(
                    "at", "is not a time",
                    "give seconds since 1970 with at most three decimals, as date +%s prints them")
            }
            return .at(seconds)
        }
        guard let after else { return nil }
        guard let seconds = SecondsText.parse(after), seconds <= Double(Self.longest) else {
            throw Refusal(
                "in", "is not a duration of at most ten years",
                "give seconds with at most three decimals, or a duration like 90s, 5m, 2h or 1d")
        }
        return .after(seconds)
    }

    private static func number(
        _ term: String, _ text: String?, _ range: ClosedRange<Int>, _ what: String
    ) throws(Refusal) -> Int? {
        guard let text else { return nil }
        guard text.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }), let number = Int(text),
            range.contains(number)
        else { throw Refusal(term, "must be \(what)", "use \(range.lowerBound) to \(range.upperBound)") }
        return number
    }

    private static func name(_ term: String, _ text: String?) throws(Refusal) -> String? {
        guard let text else { return nil }
        guard keyBytes.contains(text.utf8.count) else {
            throw Refusal(
                term, "has \(text.utf8.count) bytes", "use \(keyBytes.lowerBound) to \(keyBytes.upperBound) bytes")
        }
        return text
    }

    private static func choice<Choice: RawRepresentable<String> & CaseIterable>(
        _ term: String, _ text: String?
    ) throws(Refusal) -> Choice? {
        guard let text else { return nil }
        guard let choice = Choice(rawValue: text.lowercased()) else {
            let all = Choice.allCases.map(\.rawValue)
            throw Refusal(term, "is unknown", "use \(all.dropLast().joined(separator: ", ")) or \(all.last ?? "")")
        }
        return choice
    }
}

/// Durations as people write them.
enum SecondsText {
    /// A number of seconds, or one with a unit: `s`, `m`, `h` or `d`. nil: neither.
    static func parse(_ text: String) -> Double? {
        let units: [Character: Double] = ["s": 1, "m": 60, "h": 3_600, "d": 86_400]
        guard let last = text.last, let unit = units[last] else { return seconds(text) }
        return seconds(String(text.dropLast())).map { $0 * unit }
    }

    /// Digits with at most three decimals, at most 16 characters, as `group_send` takes them.
    static func seconds(_ text: String) -> Double? {
        guard text.utf8.count <= 16, text.wholeMatch(of: /[0-9]+(\.[0-9]{1,3})?/) != nil else { return nil }
        return Double(text)
    }
}
