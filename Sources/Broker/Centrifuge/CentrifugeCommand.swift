public import NIOCore

/// One command of a centrifuge client. Commands that this server does not know are `unknown`.
public struct CentrifugeCommand: Sendable, Equatable {
    /// The position from which a subscribing client wants to recover.
    public struct Recovery: Sendable, Equatable {
        public var epoch: String
        public var offset: UInt64
    }

    public enum Request: Sendable, Equatable {
        /// subs: server-side subscriptions that the client wants to recover.
        case connect(token: String?, subs: [String: Recovery])
        case subscribe(channel: String, recovery: Recovery?)
        case unsubscribe(channel: String)
        case publish(channel: String, data: ByteBuffer?)
        case presence(channel: String)
        case presenceStats(channel: String)
        /// limit: 0: only the position; negative: all.
        case history(channel: String, limit: Int, since: Recovery?, reverse: Bool)
        case ping
        /// A message that gets no answer.
        case send
        case refresh(token: String)
        case subRefresh
        /// data: JSON, as the client sent it.
        case rpc(method: String, data: ByteBuffer?)
        /// The empty object: the client's answer to a ping.
        case pong
        case unknown
    }

    /// 0: no reply is expected.
    public var id: UInt32
    public var request: Request

    /// Parses the commands of one frame: JSON objects separated by line feeds.
    ///
    /// - Throws: `JSONError` when one of them is not a JSON object.
    public static func commands(in frame: ByteBuffer) throws(JSONError) -> [CentrifugeCommand] {
        var commands: [CentrifugeCommand] = []
        for line in frame.readableBytesView.split(separator: UInt8(ascii: "\n")) {
            guard line.contains(where: { $0 > 0x20 }) else { continue }
            commands.append(CentrifugeCommand(try JSONFields(ByteBuffer(bytes: line))))
        }
        return commands
    }

    init(_ fields: JSONFields) {
        id = UInt32(clamping: fields.integer("id") ?? 0)
        request = Self.request(fields)
    }

    private static func request(_ fields: JSONFields) -> Request {
        if fields.keys.isEmpty { return .pong }
        if let connect = fields.object("connect") {
            return .connect(token: connect.string("token"), subs: subscriptions(connect))
        }
        if let subscribe = fields.object("subscribe") {
            return .subscribe(channel: channel(subscribe), recovery: recovery(subscribe))
        }
        if let unsubscribe = fields.object("unsubscribe") { return .unsubscribe(channel: channel(unsubscribe)) }
        if let publish = fields.object("publish") {
            return .publish(channel: channel(publish), data: publish.raw("data"))
        }
        if let presence = fields.object("presence") { return .presence(channel: channel(presence)) }
        if let stats = fields.object("presence_stats") { return .presenceStats(channel: channel(stats)) }
        if let history = fields.object("history") {
            let since = history.object("since").map {
                Recovery(epoch: $0.string("epoch") ?? "", offset: $0.unsigned("offset") ?? 0)
            }
            return .history(
                channel: channel(history), limit: Int(clamping: history.integer("limit") ?? 0), since: since,
                reverse: history.flag("reverse"))
        }
        if fields.raw("ping") != nil { return .ping }
        if fields.raw("send") != nil { return .send }
        if let refresh = fields.object("refresh") { return .refresh(token: refresh.string("token") ?? "") }
        if fields.raw("sub_refresh") != nil { return .subRefresh }
        if let rpc = fields.object("rpc") { return .rpc(method: rpc.string("method") ?? "", data: rpc.raw("data")) }
        return .unknown
    }

    private static func channel(_ fields: JSONFields) -> String { fields.string("channel") ?? "" }

    private static func recovery(_ fields: JSONFields) -> Recovery? {
        guard fields.flag("recover") else { return nil }
        return Recovery(epoch: fields.string("epoch") ?? "", offset: fields.unsigned("offset") ?? 0)
    }

    private static func subscriptions(_ connect: JSONFields) -> [String: Recovery] {
        guard let subs = connect.object("subs") else { return [:] }
        var recoveries: [String: Recovery] = [:]
        for channel in subs.keys { recoveries[channel] = subs.object(channel).flatMap(recovery) }
        return recoveries
    }
}

extension CentrifugeCommand.Recovery {
    /// The epoch on the wire combines epoch and history: `5f3a.9c01ab23de`. nil when it is not one of this server's.
    public var position: Position? { Position("\(epoch):\(offset)") }
}

extension Position {
    /// The epoch as centrifuge clients see it. It changes when Redis restarts; the reply carries the new one.
    public var wireEpoch: String { "\(epoch).\(history)" }
}
