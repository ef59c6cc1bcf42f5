public import Broker
public import NIOCore

/// A message that is sent later.
public struct ScheduledMessage: Sendable, Equatable {
    public let id: String
    public let group: String
    /// Seconds since 1970, as Redis wrote them.
    public let at: String
    /// One JSON object.
    public let message: ByteBuffer

    /// Reads the answers of `schedule_list`, `{"scheduled":[{"id":…,"group":…,"at":…,"message":{…}},…]}`, one for each server.
    ///
    /// - Returns: at most `limit`, soonest first; nil when an answer is none.
    public static func list(_ answers: [ByteBuffer], limit: Int) -> [ScheduledMessage]? {
        var found: [(at: Double, message: ScheduledMessage)] = []
        for answer in answers {
            guard let elements = (try? JSONFields(answer))?.elements("scheduled") else { return nil }
            for element in elements {
                guard let fields = try? JSONFields(element), let id = fields.string("id"),
                    let group = fields.string("group"), let at = fields.number("at"), let seconds = Double(at)
                else { return nil }
                let message = fields.raw("message") ?? ByteBuffer(string: "null")
                found.append((seconds, ScheduledMessage(id: id, group: group, at: at, message: message)))
            }
        }
        return found.sorted { ($0.at, $0.message.id) < ($1.at, $1.message.id) }.prefix(limit).map(\.message)
    }

    /// The entries of what a program is told.
    public func write(to json: inout JSONWriter) {
        json.string("id", id)
        json.string("group", group)
        json.raw("at", at)
        json.raw("message", message)
    }
}
