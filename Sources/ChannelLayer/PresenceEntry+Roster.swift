import Broker
import NIOCore

extension PresenceEntry {
    /// One entry of a roster: a channel name and its JSON.
    init(channel: String, roster: JSONFields?) {
        let connection = channel.split(separator: "!", maxSplits: 1).last.map(String.init) ?? channel
        self.init(connection: connection, user: roster?.string("user"), info: roster?.raw("info"))
    }

    /// Parses a message of `asgi__presence__G`: `{"event":"join","channel":…,"roster":{…}}`. nil when it is something else.
    static func event(_ payload: ByteBuffer) -> (entry: PresenceEntry, joined: Bool)? {
        guard let fields = try? JSONFields(payload), let channel = fields.string("channel"),
            let event = fields.string("event"), event == "join" || event == "leave"
        else { return nil }
        return (PresenceEntry(channel: channel, roster: fields.object("roster")), event == "join")
    }
}
