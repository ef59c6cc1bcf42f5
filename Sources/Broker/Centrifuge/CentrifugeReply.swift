public import NIOCore

/// What the server says in the centrifuge protocol.
public enum CentrifugeReply {
    /// The initial state of a subscription.
    public struct Subscribed: Sendable {
        public var position: Position
        /// nil: the client did not ask to recover.
        public var recovered: Bool?
        /// In order, up to `position`.
        public var publications: [Publication]
        /// What the group's policy keeps about its users. Not part of the reply.
        public var tracking = Tracking.none

        public init(position: Position, recovered: Bool?, publications: [Publication]) {
            self.position = position
            self.recovered = recovered
            self.publications = publications
        }
    }

    /// A client as other clients see it.
    public struct ClientInfo: Sendable {
        public var user: String
        public var client: String
        /// The text of a JSON object.
        public var info: ByteBuffer?

        public init(user: String, client: String, info: ByteBuffer? = nil) {
            self.user = user
            self.client = client
            self.info = info
        }
    }

    // MARK: Pushes

    /// A message for the client alone, in no channel: an SDK's `message` event.
    public static func message(_ json: ByteBuffer) -> ByteBuffer {
        var text = ByteBuffer(string: #"{"push":{"message":{"data":"#)
        text.writeImmutableBuffer(json)
        text.writeString("}}}")
        return text
    }

    // MARK: Replies

    public static func error(_ id: UInt32, _ error: CentrifugeError) -> ByteBuffer {
        reply(id, "error") { json in
            json.number("code", error.code)
            json.string("message", error.message)
            if error.isTemporary { json.bool("temporary", true) }
        }
    }

    /// - Parameter data: JSON; nil: the site had nothing to say.
    public static func rpc(_ id: UInt32, data: ByteBuffer?) -> ByteBuffer {
        reply(id, "rpc") { json in
            guard let data else { return }
            json.key("data")
            json.raw(data)
        }
    }

    public static func empty(_ id: UInt32, _ method: String) -> ByteBuffer { reply(id, method) { _ in } }

    /// - Parameters:
    ///   - ping: seconds between the server's pings, which the client must answer.
    ///   - subs: server-side subscriptions.
    public static func connect(
        _ id: UInt32, client: String, version: String, ttl: Int?, ping: Int, node: String,
        subs: [(GroupName, Subscribed)]
    ) -> ByteBuffer {
        reply(id, "connect") { json in
            json.string("client", client)
            json.string("version", version)
            write(expiry: ttl, to: &json)
            json.number("ping", ping)
            json.bool("pong", true)
            json.string("node", node)
            json.object("subs") { json in
                for (group, subscribed) in subs { json.object(group.text) { write(subscribed, to: &$0) } }
            }
        }
    }

    public static func refresh(_ id: UInt32, client: String, version: String, ttl: Int?) -> ByteBuffer {
        reply(id, "refresh") { json in
            write(expiry: ttl, to: &json)
            json.string("client", client)
            json.string("version", version)
        }
    }

    public static func subscribe(_ id: UInt32, _ subscribed: Subscribed) -> ByteBuffer {
        reply(id, "subscribe") { write(subscribed, to: &$0) }
    }

    public static func history(_ id: UInt32, _ publications: [Publication], position: Position) -> ByteBuffer {
        reply(id, "history") { json in
            write(publications, to: &json)
            write(position, to: &json)
        }
    }

    public static func presence(_ id: UInt32, _ clients: [ClientInfo]) -> ByteBuffer {
        reply(id, "presence") { json in
            json.object("presence") { json in
                for info in clients { json.object(info.client) { write(info, to: &$0) } }
            }
        }
    }

    public static func presenceStats(_ id: UInt32, clients: Int, users: Int) -> ByteBuffer {
        reply(id, "presence_stats") { json in
            json.number("num_clients", clients)
            json.number("num_users", users)
        }
    }

    // MARK: Pushes

    /// The same for every client of the group. Literal bytes: on the path of each message, where neither a group's name nor a
    /// number has anything to escape.
    public static func push(_ publication: Publication) -> ByteBuffer {
        var text = ByteBuffer(string: #"{"push":{"channel":"\#(publication.group.text)","pub":"#)
        write(publication, to: &text)
        text.writeString("}}")
        return text
    }

    /// Somebody has joined the channel, or left it.
    public static func presence(_ group: GroupName, _ info: ClientInfo, joined: Bool) -> ByteBuffer {
        push(to: group, joined ? "join" : "leave") { json in json.object("info") { write(info, to: &$0) } }
    }

    /// 2500: the state is insufficient; the SDK subscribes again and learns that it cannot recover.
    public static func unsubscribe(_ group: GroupName, code: Int, reason: String) -> ByteBuffer {
        push(to: group, "unsubscribe") { json in
            json.number("code", code)
            json.string("reason", reason)
        }
    }

    /// The server's ping.
    public static let ping = ByteBuffer(string: "{}")

    // MARK: Parts

    private static func reply(_ id: UInt32, _ method: String, _ body: (inout JSONWriter) -> Void) -> ByteBuffer {
        JSONWriter.object { json in
            json.number("id", id)
            json.object(method, body)
        }
    }

    private static func push(to group: GroupName, _ kind: String, _ body: (inout JSONWriter) -> Void) -> ByteBuffer {
        JSONWriter.object { json in
            json.object("push") { json in
                json.string("channel", group.text)
                json.object(kind, body)
            }
        }
    }

    private static func write(expiry ttl: Int?, to json: inout JSONWriter) {
        guard let ttl else { return }
        json.bool("expires", true)
        json.number("ttl", ttl)
    }

    private static func write(_ subscribed: Subscribed, to json: inout JSONWriter) {
        json.bool("recoverable", true)
        json.bool("positioned", true)
        write(subscribed.position, to: &json)
        if let recovered = subscribed.recovered {
            json.bool("was_recovering", true)
            json.bool("recovered", recovered)
        }
        if !subscribed.publications.isEmpty { write(subscribed.publications, to: &json) }
    }

    private static func write(_ position: Position, to json: inout JSONWriter) {
        json.string("epoch", position.wireEpoch)
        json.number("offset", position.offset)
    }

    private static func write(_ info: ClientInfo, to json: inout JSONWriter) {
        json.string("user", info.user)
        json.string("client", info.client)
        if let conn = info.info { json.raw("conn_info", conn) }
    }

    private static func write(_ publications: [Publication], to json: inout JSONWriter) {
        json.array("publications") { json in
            for publication in publications { json.raw { write(publication, to: &$0) } }
        }
    }

    /// Of a push and of a page alike.
    private static func write(_ publication: Publication, to text: inout ByteBuffer) {
        text.writeString(#"{"data":"#)
        text.writeImmutableBuffer(publication.json)
        if let position = publication.position { text.writeString(#","offset":\#(position.offset)"#) }
        text.writeString("}")
    }
}
