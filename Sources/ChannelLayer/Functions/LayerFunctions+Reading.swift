import Broker
import NIOCore
import RedisClient

/// The answer of `group_read` for one group.
enum GroupReadAnswer: Sendable {
    case page(HistoryPage)
    /// The call's byte budget was spent on earlier groups: ask again.
    case later
    /// Not an answer of `group_read`, or a verdict of a later version.
    case unknown
}

extension LayerFunctions {
    /// Reads the messages after a position, for several groups.
    ///
    /// - Parameters:
    ///   - places: groups and positions; without a position only the group's position is returned. `bytes` is per group.
    ///   - limit: messages per group, 1 to 10,000.
    ///   - budget: total bytes of messages.
    func groupRead(
        _ places: [(place: ReadPlace, bytes: Int)], limit: Int, budget: Int
    ) -> FunctionCall<[GroupReadAnswer]> {
        let groups = places.map(\.place.group)
        var call = FunctionCall(.groupRead, keys: groups.map { keys.group($0) }, isReadOnly: true) {
            GroupReadAnswer.all($0, of: groups)
        }
        call.append(limit)
        call.append(budget)
        for (place, _) in places { call.append(place.since?.description ?? "") }
        for (_, bytes) in places { call.append(bytes) }
        return call
    }
}

extension GroupReadAnswer {
    fileprivate static func all(_ reply: RedisValue, of groups: [GroupName]) -> [GroupReadAnswer]? {
        guard let answers = reply.array, answers.count == groups.count else { return nil }
        return zip(groups, answers).map { GroupReadAnswer($0, $1) }
    }

    private init(_ group: GroupName, _ reply: RedisValue) {
        let answer = reply.array ?? []
        if answer.first?.text == "later" {
            self = .later
        } else {
            self = Self.page(group, answer).map(GroupReadAnswer.page) ?? .unknown
        }
    }

    private static func page(_ group: GroupName, _ answer: [RedisValue]) -> HistoryPage? {
        guard answer.count == 4, let continuity = answer[0].text.flatMap(Continuity.init(verdict:)),
            let proven = answer[2].int, let fields = answer[3].array, fields.count % 2 == 0
        else { return nil }
        let position = Position(answer[1].text ?? "")
        var entries: [HistoryEntry] = []
        for index in stride(from: 0, to: fields.count, by: 2) {
            guard let offset = fields[index].int, offset >= 0, let bytes = fields[index + 1].bytes else { return nil }
            entries.append(entry(group, position, UInt64(offset), bytes))
        }
        return HistoryPage(
            continuity: continuity, position: position, proven: UInt64(max(proven, 0)), entries: entries)
    }

    private static func entry(
        _ group: GroupName, _ now: Position?, _ offset: UInt64, _ bytes: ByteBuffer
    ) -> HistoryEntry {
        // Empty: the message has expired. No real message is empty.
        guard let now, bytes.readableBytes > 0 else { return HistoryEntry(offset: offset, publication: nil) }
        guard let message = try? WireMessage.decode(bytes) else {
            return HistoryEntry(offset: offset, publication: nil, isUnreadable: true)
        }
        let position = Position(epoch: now.epoch, history: now.history, offset: offset)
        return HistoryEntry(
            offset: offset, publication: Publication(group: group, position: position, json: message.json))
    }
}

extension Continuity {
    /// nil: an unknown verdict. Nothing may be reported to a client that is not certain.
    init?(verdict: String) {
        switch verdict {
        case "resumed", "position": self = .resumed
        case "history_changed": self = .historyChanged
        case "gap": self = .gap
        case "rolled_back": self = .rolledBack
        case "reset": self = .reset
        case "live": self = .liveOnly
        default: return nil
        }
    }
}
