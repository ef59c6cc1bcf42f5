import Broker
import NIOCore
import NIOHTTP1

/// What requests have in common: names, positions, limits, and bodies that are one JSON object.
extension AdminRequest {
    /// The path's `{group}`.
    func group() throws(AdminFailure) -> GroupName { try Self.group(parameters["group"] ?? "") }

    /// The path's `{user}`, which is not empty.
    var user: String { parameters["user"] ?? "" }

    static func group(_ text: String) throws(AdminFailure) -> GroupName {
        do {
            return try GroupName(text)
        } catch {
            throw .bad("bad_group", "\(error)", "use ASCII letters, digits, \"-\", \"_\" and \".\", fewer than 100")
        }
    }

    static func position(_ text: String, _ name: String) throws(AdminFailure) -> Position {
        guard let position = Position(text) else {
            throw .bad("bad_position", "\(name) is not a position", "use what a send or a page answered")
        }
        return position
    }

    /// The query's `group`.
    func queriedGroup() throws(AdminFailure) -> GroupName? {
        guard let text = query["group"] else { return nil }
        return try Self.group(text)
    }

    /// The query's `limit`.
    func limit(_ range: ClosedRange<Int>, default standard: Int) throws(AdminFailure) -> Int {
        guard let text = query["limit"] else { return standard }
        guard let limit = Int(text), range.contains(limit) else {
            throw .bad(
                "bad_limit", "limit is not a number in its range", "use \(range.lowerBound) to \(range.upperBound)")
        }
        return limit
    }

    /// - Parameter example: what the remedy shows.
    func object(_ example: String) throws(AdminFailure) -> JSONFields {
        if let refusal = MessageBody.refusal(of: self, code: "bad_body", example) {
            throw AdminFailure(answer: refusal)
        }
        guard let fields = try? JSONFields(body) else {
            throw .bad("bad_body", "the body is not a JSON object", "send one like \(example)")
        }
        return fields
    }
}
