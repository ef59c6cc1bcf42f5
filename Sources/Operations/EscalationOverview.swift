public import Broker
public import NIOCore

/// What waits for the targets of escalations, and what could not be delivered to them.
public struct EscalationOverview: Sendable, Equatable {
    public struct Target: Sendable, Equatable {
        /// As in `escalations:` of the configuration.
        public let name: String
        public var waiting: Int
        public var inFlight: Int
    }

    /// A task that was given up.
    public struct DeadLetter: Sendable, Equatable {
        public let id: String
        public let target: String
        public let group: String
        public let user: String
        public let position: String
        public let attempts: Int
        /// Seconds since 1970, as Redis wrote them.
        public let diedAt: String
        public let reason: String

        fileprivate init?(_ text: ByteBuffer) {
            guard let fields = try? JSONFields(text), let id = fields.string("id"),
                let target = fields.string("target"),
                let group = fields.string("group"), let user = fields.string("user"),
                let position = fields.string("position"), let diedAt = fields.number("died_at")
            else { return nil }
            self.id = id
            self.target = target
            self.group = group
            self.user = user
            self.position = position
            self.attempts = fields.integer("attempts").map { Int($0) } ?? 0
            self.diedAt = diedAt
            self.reason = fields.string("reason") ?? ""
        }
    }

    /// How every id of a task begins.
    public static let idPrefix = "esc_"

    /// By name.
    public let targets: [Target]
    /// Newest first.
    public let dead: [DeadLetter]

    /// Reads the answers of `escalation_list`, `{"targets":[…],"dead":[…]}`, one for each server: what waits is added up.
    ///
    /// - Parameter limit: dead letters.
    /// - Returns: nil when an answer is none.
    public init?(_ answers: [ByteBuffer], limit: Int) {
        var targets: [String: Target] = [:]
        var dead: [DeadLetter] = []
        for answer in answers {
            guard let fields = try? JSONFields(answer), let ofTargets = fields.elements("targets"),
                let letters = fields.elements("dead")
            else { return nil }
            for element in ofTargets {
                guard let fields = try? JSONFields(element), let name = fields.string("target") else { return nil }
                var target = targets[name] ?? Target(name: name, waiting: 0, inFlight: 0)
                target.waiting += fields.integer("waiting").map { Int($0) } ?? 0
                target.inFlight += fields.integer("in_flight").map { Int($0) } ?? 0
                targets[name] = target
            }
            for letter in letters {
                guard let letter = DeadLetter(letter) else { return nil }
                dead.append(letter)
            }
        }
        self.targets = targets.values.sorted { $0.name < $1.name }
        self.dead = Array(dead.sorted { (Double($0.diedAt) ?? 0) > (Double($1.diedAt) ?? 0) }.prefix(limit))
    }

    /// The entries of what a program is told, as `escalation_list` answers them.
    public func write(to json: inout JSONWriter) {
        json.array("targets") { json in
            for target in targets {
                json.object { json in
                    json.string("target", target.name)
                    json.number("waiting", target.waiting)
                    json.number("in_flight", target.inFlight)
                }
            }
        }
        json.array("dead") { json in
            for letter in dead { json.object(letter.write) }
        }
    }
}

extension EscalationOverview.DeadLetter {
    fileprivate func write(to json: inout JSONWriter) {
        json.string("id", id)
        json.string("target", target)
        json.string("group", group)
        json.string("user", user)
        json.string("position", position)
        json.number("attempts", attempts)
        json.raw("died_at", diedAt)
        json.string("reason", reason)
    }
}
