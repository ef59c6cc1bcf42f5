public import Broker
public import Logging
public import NIOCore
public import RedisClient

/// Operators' queries and commands: who is connected where, which gateways are alive, sending a message by hand.
public struct LayerInspector: Sendable {
    let client: RedisClient
    let keys: LayerKeys

    var functions: LayerFunctions { LayerFunctions(keys: keys) }

    public init(client: RedisClient, keys: LayerKeys) {
        self.client = client
        self.keys = keys
    }

    /// One entry of a roster.
    public struct Connection: Sendable {
        public var group: String
        /// `specific.GW!CONN`.
        public var channel: String
        /// The roster's JSON: user, gateway, since.
        public var json: String
    }

    /// A living gateway with its description of itself.
    public struct Gateway: Sendable {
        public var id: String
        public var fields: [String: String]
    }

    public func who(in group: GroupName) async throws -> [Connection] {
        try await roster(keys.roster(group), group: group.text)
    }

    /// Scans all rosters: only for operators, never on the message path.
    public func whoAnywhere() async throws -> [Connection] {
        var connections: [Connection] = []
        var cursor = "0"
        repeat {
            let reply = try await client.send(
                RedisCommand("SCAN", cursor, "MATCH", keys.rosterPattern, "COUNT", "1000"))
            guard let page = reply.array, page.count == 2, let next = page[0].text else { break }
            for key in (page[1].array ?? []).compactMap(\.text) {
                connections += try await roster(key, group: String(keys.rosterGroup(key)))
            }
            cursor = next
        } while cursor != "0"
        return connections.sorted { ($0.group, $0.channel) < ($1.group, $1.channel) }
    }

    private func roster(_ key: String, group: String) async throws -> [Connection] {
        try await client.send(RedisCommand("HGETALL", key)).pairs
            .map { Connection(group: group, channel: $0.0, json: $0.1) }
            .sorted { $0.channel < $1.channel }
    }

    public func gateways() async throws -> [Gateway] {
        let ids = try await client.send(RedisCommand("ZRANGE", keys.gateways, "0", "-1")).array ?? []
        var gateways: [Gateway] = []
        for id in ids.compactMap(\.text) {
            let fields = try await client.send(RedisCommand("HGETALL", keys.gateway(id))).pairs
            // No hash: its lease has expired, and it has not been swept yet.
            if !fields.isEmpty {
                gateways.append(Gateway(id: id, fields: Dictionary(fields) { $1 }))
            }
        }
        return gateways.sorted { $0.id < $1.id }
    }

    /// Messages of a group's log.
    public struct History: Sendable {
        /// nil when the read was not from a position, and nothing in the log is unreadable.
        public var continuity: Continuity?
        public var publications: [Publication]
    }

    /// One page of a group's log: from the start of its current epoch and history, or after a position.
    ///
    /// - Throws: `RedisError`.
    public func historyPage(of group: GroupName, since: Position?) async throws -> HistoryPage {
        if let since { return try await page(of: group, since: since) }
        let page = try await page(of: group, since: nil)
        guard let now = page.position else { return page }
        return try await self.page(of: group, since: Position(epoch: now.epoch, history: now.history, offset: 0))
    }

    public func history(of group: GroupName, since: Position?) async throws -> History {
        var history = History(continuity: nil, publications: [])
        var cursor: Position
        if let since {
            cursor = since
        } else {
            // From before the first message of the group's current epoch and history.
            guard let now = try await page(of: group, since: nil).position else { return history }
            cursor = Position(epoch: now.epoch, history: now.history, offset: 0)
        }
        while true {
            let page = try await page(of: group, since: cursor)
            if since != nil, history.continuity == nil { history.continuity = page.continuity }
            if page.hasUnreadable, history.continuity?.isRecovered ?? true { history.continuity = .gap }
            history.publications += page.entries.compactMap(\.publication)
            guard let now = page.position, let end = page.end, end.offset < now.offset, end != cursor else {
                return history
            }
            cursor = end
        }
    }

    private func page(of group: GroupName, since: Position?) async throws -> HistoryPage {
        let call = functions.groupRead(
            [(ReadPlace(group: group, since: since), HistoryReader.budget)], limit: HistoryReader.pageSize,
            budget: HistoryReader.budget)
        guard case .page(let page) = try await client.call(call)[0] else {
            throw RedisError(.unexpectedAnswer, "group_read answered something else than a page")
        }
        return page
    }

    /// Sends with `FCALL group_send`, and loads the function library if Redis has none.
    ///
    /// - Parameters:
    ///   - waitReplicas: the replicas that must acknowledge it.
    public func send(
        _ message: ByteBuffer, to group: GroupName, _ options: SendOptions = SendOptions(),
        waitReplicas: ReplicaQuorum = .zero,
        logger: Logger
    ) async throws -> SendAnswer {
        let call = functions.groupSend(message, to: group, options)
        do {
            return try await client.call(call, waitingFor: waitReplicas).get()
        } catch let error as RedisError where FunctionLibrary.isMissing(error) {
            try await FunctionLibrary.ensureLoaded(functions, by: client, logger: logger)
            return try await client.call(call, waitingFor: waitReplicas).get()
        }
    }

    /// Sends to one channel of the layer, as `FCALL channel_send` does.
    ///
    /// - Returns: false when nobody was there: a consumer of the pub/sub layer that has just ended.
    /// - Throws: `RedisError`; one whose text begins with `CHANNELFULL` when the channel has no room.
    public func channelSend(_ message: ByteBuffer, to channel: ChannelName, logger: Logger) async throws -> Bool {
        let call = functions.channelSend(message, to: channel)
        do {
            return try await client.call(call) > 0
        } catch let error as RedisError where FunctionLibrary.isMissing(error) {
            try await FunctionLibrary.ensureLoaded(functions, by: client, logger: logger)
            return try await client.call(call) > 0
        }
    }

    /// Tells every gateway to end connections.
    ///
    /// - Returns: how many gateways received it: those subscribed to this Redis server.
    /// - Throws: `RedisError`.
    public func end(_ selection: ConnectionSelection) async throws -> Int {
        var command = RedisCommand("PUBLISH", keys.controlChannel)
        command.append(ControlMessage.end(selection))
        return try await client.send(command).int ?? 0
    }

    /// Converts an error of these methods to a `BackplaneError`.
    public static func told(_ error: any Error) -> BackplaneError {
        error as? BackplaneError ?? RedisErrorMeaning.told(error)
    }

    /// The function library in Redis, compared with the one embedded in this program.
    public enum LibraryState: Sendable, Equatable {
        case missing
        case older(Int)
        case usable(Int)
        /// Does not work with gateways of this version; with the reason.
        case tooNew(String)
    }

    public static var carriedLibrary: Int { FunctionLibrary.version }

    public func libraryState() async throws -> LibraryState {
        do {
            let loaded = try await client.call(functions.tocsinVersion)
            return switch loaded.verdict(own: FunctionLibrary.version) {
            case .load: .older(loaded.version)
            case .use: .usable(loaded.version)
            case .tooNew: .tooNew(RedisErrorMeaning.words(FunctionLibrary.tooNew(loaded)))
            }
        } catch let error as RedisError where FunctionLibrary.isMissing(error) {
            return .missing
        }
    }

    /// The value that `notify-keyspace-events` must be set to; nil when the current one suffices.
    public static func missingKeyspaceEvents(_ setting: String) -> String? { KeyspaceEvents.completed(setting) }
}
