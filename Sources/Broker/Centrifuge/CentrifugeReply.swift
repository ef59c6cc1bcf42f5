public import NIOCore

/// Encodes replies and pushes of the centrifuge protocol as JSON of fixed shapes.
public enum CentrifugeReply {
    /// The initial state of a subscription.
    public struct Subscribed: Sendable {
        public var position: Position
        /// nil: the client did not ask to recover.
        public var recovered: Bool?
        /// In order, up to `position`.
        public var publications: [Publication]

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
        let temporary = error.isTemporary ? #","temporary":true"# : ""
        return ByteBuffer(
            string: #"{"id":\#(id),"error":{"code":\#(error.code),"message":"\#(error.message)"\#(temporary)}}"#)
    }

    public static func empty(_ id: UInt32, _ method: StaticString) -> ByteBuffer {
        ByteBuffer(string: #"{"id":\#(id),"\#(method)":{}}"#)
    }

    /// - Parameters:
    ///   - ping: seconds between the server's pings, which the client must answer.
    ///   - subs: server-side subscriptions.
    public static func connect(
        _ id: UInt32, client: String, version: String, ttl: Int?, ping: Int, node: String,
        subs: [(GroupName, Subscribed)]
    ) -> ByteBuffer {
        var text = ByteBuffer(
            string:
                #"{"id":\#(id),"connect":{"client":"\#(client)","version":"\#(version)",\#(expiry(ttl))"ping":\#(ping),"pong":true,"#
                + #""node":"\#(node)","subs":{"#)
        for (index, (group, subscribed)) in subs.enumerated() {
            text.writeString((index == 0 ? "\"" : ",\"") + group.text + "\":")
            write(subscribed, to: &text)
        }
        text.writeString("}}}")
        return text
    }

    public static func refresh(_ id: UInt32, client: String, version: String, ttl: Int?) -> ByteBuffer {
        ByteBuffer(
            string: #"{"id":\#(id),"refresh":{\#(expiry(ttl))"client":"\#(client)","version":"\#(version)"}}"#)
    }

    private static func expiry(_ ttl: Int?) -> String { ttl.map { #""expires":true,"ttl":\#($0),"# } ?? "" }

    public static func subscribe(_ id: UInt32, _ subscribed: Subscribed) -> ByteBuffer {
        var text = ByteBuffer(string: #"{"id":\#(id),"subscribe":"#)
        write(subscribed, to: &text)
        text.writeString("}")
        return text
    }

    private static func write(_ subscribed: Subscribed, to text: inout ByteBuffer) {
        let position = subscribed.position
        text.writeString(
            #"{"recoverable":true,"positioned":true,"epoch":"\#(position.wireEpoch)","offset":\#(position.offset)"#)
        if let recovered = subscribed.recovered {
            text.writeString(#","was_recovering":true,"recovered":\#(recovered)"#)
        }
        if !subscribed.publications.isEmpty {
            text.writeString(#","publications":["#)
            write(subscribed.publications, to: &text)
            text.writeString("]")
        }
        text.writeString("}")
    }

    public static func history(_ id: UInt32, _ publications: [Publication], position: Position) -> ByteBuffer {
        var text = ByteBuffer(string: #"{"id":\#(id),"history":{"publications":["#)
        write(publications, to: &text)
        text.writeString(#"],"epoch":"\#(position.wireEpoch)","offset":\#(position.offset)}}"#)
        return text
    }

    public static func presence(_ id: UInt32, _ clients: [ClientInfo]) -> ByteBuffer {
        var text = ByteBuffer(string: #"{"id":\#(id),"presence":{"presence":{"#)
        for (index, info) in clients.enumerated() {
            if index > 0 { text.writeString(",") }
            JSONText.appendString(info.client.utf8, to: &text)
            text.writeString(":")
            write(info, to: &text)
        }
        text.writeString("}}}")
        return text
    }

    private static func write(_ info: ClientInfo, to text: inout ByteBuffer) {
        text.writeString(#"{"user":"#)
        JSONText.appendString(info.user.utf8, to: &text)
        text.writeString(#","client":"#)
        JSONText.appendString(info.client.utf8, to: &text)
        if let conn = info.info {
            text.writeString(#","conn_info":"#)
            text.writeImmutableBuffer(conn)
        }
        text.writeString("}")
    }

    /// A client has joined or left the channel.
    public static func presence(_ group: GroupName, _ info: ClientInfo, joined: Bool) -> ByteBuffer {
        var text = ByteBuffer(string: #"{"push":{"channel":"\#(group.text)","\#(joined ? "join" : "leave")":{"info":"#)
        write(info, to: &text)
        text.writeString("}}}")
        return text
    }

    public static func presenceStats(_ id: UInt32, clients: Int, users: Int) -> ByteBuffer {
        ByteBuffer(string: #"{"id":\#(id),"presence_stats":{"num_clients":\#(clients),"num_users":\#(users)}}"#)
    }

    // MARK: Pushes

    /// A publication. Identical for every client of the group.
    public static func push(_ publication: Publication) -> ByteBuffer {
        var text = ByteBuffer(string: #"{"push":{"channel":"\#(publication.group.text)","pub":"#)
        write(publication, to: &text)
        text.writeString("}}")
        return text
    }

    /// Code 2500, "insufficient state": the SDK subscribes again and learns that it cannot recover.
    public static func unsubscribe(_ group: GroupName, code: Int, reason: StaticString) -> ByteBuffer {
        ByteBuffer(
            string: #"{"push":{"channel":"\#(group.text)","unsubscribe":{"code":\#(code),"reason":"\#(reason)"}}}"#)
    }

    /// The server's ping.
    public static let ping = ByteBuffer(string: "{}")

    private static func write(_ publications: [Publication], to text: inout ByteBuffer) {
        for (index, publication) in publications.enumerated() {
            if index > 0 { text.writeString(",") }
            write(publication, to: &text)
        }
    }

    private static func write(_ publication: Publication, to text: inout ByteBuffer) {
        text.writeString(#"{"data":"#)
        text.writeImmutableBuffer(publication.json)
        if let position = publication.position { text.writeString(#","offset":\#(position.offset)"#) }
        text.writeString("}")
    }
}
