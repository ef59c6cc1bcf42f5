import Broker
import NIOCore
import RedisClient

extension ReadMark {
    /// The arguments of `mark_read` after the user.
    fileprivate var words: [String] {
        switch self {
        case .upTo(let position): ["READ", position.description]
        case .one(let position): ["READ_ONE", position.description]
        case .unreadOne(let position): ["UNREAD_ONE", position.description]
        case .all: ["READ_ALL"]
        }
    }
}

extension InboxState {
    /// Parses `{"unread":2,"read":"POSITION"}`.
    init?(_ reply: RedisValue) {
        guard let bytes = reply.bytes, let fields = try? JSONFields(bytes) else { return nil }
        self.init(fields)
    }

    init?(_ fields: JSONFields) {
        guard let unread = fields.number("unread").flatMap({ Int($0) }),
            let read = fields.string("read").flatMap({ Position($0) })
        else { return nil }
        self.init(unread: unread, read: read)
    }
}

extension ReadStateChange {
    /// What precedes the JSON object that `mark_read` publishes for gateways: it starts no message.
    private static let mark = Array("!inbox ".utf8)

    /// Whether a payload is a change, and not a message.
    static func isOne(_ payload: ByteBuffer) -> Bool { payload.readableBytesView.first == mark[0] }

    /// Parses `!inbox {"user":"42","unread":2,"read":"POSITION"}`, with `read_one` or `unread_one` if it was about one.
    init?(_ payload: ByteBuffer) {
        var payload = payload
        guard let head = payload.readBytes(length: Self.mark.count), head == Self.mark,
            let fields = try? JSONFields(payload), let user = fields.string("user"), let state = InboxState(fields)
        else { return nil }
        let one = fields.string("read_one").flatMap { Position($0) }.map(ReadMark.one)
        let unreadOne = fields.string("unread_one").flatMap { Position($0) }.map(ReadMark.unreadOne)
        self.init(user: user, state: state, mark: one ?? unreadOne)
    }
}

extension LayerFunctions {
    /// Changes a user's read state.
    ///
    /// - Parameter user: nil means the group's owner.
    func markRead(_ mark: ReadMark, in group: GroupName, user: String?) -> FunctionCall<InboxState> {
        var call = FunctionCall(.markRead, keys: [keys.group(group)], read: InboxState.init)
        call.append(user ?? "")
        for word in mark.words { call.append(word) }
        return call
    }

    /// Records what is delivered. The answer is how many records changed.
    func markDelivered(_ confirmations: [Confirmation]) -> FunctionCall<Int> {
        var call = FunctionCall(.markDelivered, keys: confirmations.map { keys.group($0.group) }, read: \.int)
        for confirmation in confirmations {
            call.append(confirmation.user ?? "")
            let position = confirmation.position
            if let after = confirmation.after, after < position.offset {
                call.append("\(position)/\(position.offset - after)")
            } else {
                call.append(position.description)
            }
        }
        return call
    }

    /// A user's messages, newest first, as they were sent.
    ///
    /// - Parameters:
    ///   - before: nil: the newest.
    ///   - limit: 0 to 1,000.
    func inbox(
        of group: GroupName, user: String?, before: Position?, limit: Int
    ) -> FunctionCall<InboxPage> {
        var call = FunctionCall(.inbox, keys: [keys.group(group)], isReadOnly: true, read: InboxPage.init)
        call.append(user ?? "")
        call.append("LIMIT")
        call.append(limit)
        if let before {
            call.append("BEFORE")
            call.append(before.description)
        }
        call.append("RAW")
        return call
    }

    /// Who is meant by a message, who has it since when, and who has read it: a JSON object.
    func receipts(of group: GroupName, at position: Position) -> FunctionCall<ByteBuffer> {
        var call = FunctionCall(.receipts, keys: [keys.group(group)], isReadOnly: true, read: \.bytes)
        call.append(position.description)
        return call
    }
}

extension InboxPage {
    /// `{unread, read, singles, {{offset, read, message}, …}}`. Messages that cannot be shown are left out, as by all readers.
    fileprivate init?(_ reply: RedisValue) {
        guard let answer = reply.array, answer.count == 4, let unread = answer[0].int,
            let read = answer[1].text.flatMap({ Position($0) }), let singles = answer[2].array,
            let entries = answer[3].array
        else { return nil }
        let offsets = singles.compactMap { $0.int.flatMap { UInt64(exactly: $0) } }
        guard offsets.count == singles.count else { return nil }
        var found: [Entry] = []
        for entry in entries {
            guard let fields = entry.array, fields.count == 3,
                let offset = fields[0].int.flatMap({ UInt64(exactly: $0) }),
                let isRead = fields[1].int, let bytes = fields[2].bytes
            else { return nil }
            guard let message = try? WireMessage.decode(bytes) else { continue }
            let position = Position(epoch: read.epoch, history: read.history, offset: offset)
            found.append(Entry(position: position, json: message.json, isRead: isRead == 1))
        }
        self.init(
            state: InboxState(
                unread: unread, read: read, readSingly: offsets.filter { $0 > read.offset },
                unreadSingly: offsets.filter { $0 <= read.offset }), entries: found)
    }
}
