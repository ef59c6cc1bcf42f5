public import Broker
public import NIOCore
public import RedisClient

/// A group's policy in Redis, as returned by `group_add`.
struct GroupTerms: Equatable, Sendable {
    /// Whether messages are kept and can be read later.
    var isLogged = true
    /// Whether joins and leaves are published.
    var tellsPresence = false
    var tracking = Tracking.none
}

/// A group's position and policy when a connection joined it.
struct GroupJoin: Equatable, Sendable {
    let position: Position
    let terms: GroupTerms

    /// Parses `POSITION[ live][ presence][ receipts][ inbox]`. Other flags belong to later versions and are ignored.
    init?(_ text: ByteBuffer) {
        let bytes = text.readableBytesView
        let end = bytes.firstIndex(of: UInt8(ascii: " ")) ?? bytes.endIndex
        guard let position = bytes[..<end].withContiguousStorageIfAvailable({ Position(utf8: $0) }) ?? nil else {
            return nil
        }
        self.position = position
        if end == bytes.endIndex {
            terms = GroupTerms()
        } else {
            let words = bytes[end...].split(separator: UInt8(ascii: " "))
            func has(_ flag: String) -> Bool { words.contains { $0.elementsEqual(flag.utf8) } }
            terms = GroupTerms(
                isLogged: !has("live"), tellsPresence: has("presence"),
                tracking: has("inbox") ? .inbox : has("receipts") ? .receipts : .none)
        }
    }
}

/// The answer of `group_add`.
struct GroupAddAnswer: Equatable, Sendable {
    /// One for each connection added.
    let joins: [GroupJoin]
    /// Number of groups whose fleet member had been removed by somebody.
    let restored: Int

    fileprivate init?(_ reply: RedisValue, of count: Int) {
        guard let answer = reply.array, answer.count == count + 1, let restored = answer[count].int else { return nil }
        joins = answer.dropLast().compactMap { $0.bytes.flatMap { GroupJoin($0) } }
        self.restored = restored
        guard joins.count == count else { return nil }
    }
}

extension LayerFunctions {
    /// Logs and publishes a message, or keeps it for later.
    ///
    /// - Parameter message: a JSON object or a msgpack map, at most 1 MiB.
    func groupSend(
        _ message: ByteBuffer, to group: GroupName, _ options: SendOptions = SendOptions()
    ) -> FunctionCall<SendAnswer> {
        var call = FunctionCall(.groupSend, keys: [keys.group(group)], read: Self.sendAnswer)
        call.append(message)
        func option(_ name: String, _ value: String?) {
            guard let value else { return }
            call.append(name)
            call.append(value)
        }
        option("TTL", options.ttl.map(String.init))
        option("KEY", options.key)
        option("SIZE", options.size.map(String.init))
        option("COLLAPSE", options.collapse)
        option("URGENCY", options.urgency?.rawValue)
        option("ESCALATE", options.escalation.map { String($0.after) })
        option("UNLESS", options.escalation?.unless?.rawValue)
        switch options.time {
        case .after(let seconds): option("IN", Self.seconds(seconds))
        case .at(let seconds): option("AT", Self.seconds(seconds))
        case nil: break
        }
        return call
    }

    /// At most three decimals, without an exponent.
    private static func seconds(_ seconds: Double) -> String {
        let milliseconds = Int64((min(max(seconds, 0), 1e12) * 1000).rounded())
        let rest = String(milliseconds % 1000)
        return "\(milliseconds / 1000).\(String(repeating: "0", count: 3 - rest.count))\(rest)"
    }

    /// Sends a message to one channel of the layer: a general one, one consumer, or one connection of a gateway. The answer
    /// is 0 when nobody was there.
    ///
    /// - Parameters:
    ///   - message: a JSON object or a msgpack map, at most 1 MiB.
    func channelSend(_ message: ByteBuffer, to channel: ChannelName) -> FunctionCall<Int> {
        var call = FunctionCall(.channelSend, keys: ["\(keys.prefix):channel:\(channel.text)"], read: \.int)
        call.append(message)
        return call
    }

    @Sendable private static func sendAnswer(_ reply: RedisValue) -> SendAnswer? {
        guard let answer = reply.array, answer.count == 2 || answer.count == 4, let text = answer[0].text,
            let gateways = answer[1].int
        else { return nil }
        guard let position = Position(text) else { return text.contains("@") ? .scheduled(text) : nil }
        guard answer.count == 4 else { return .sent(Receipt(position: position, gateways: gateways)) }
        guard let told = answer[2].int, let skipped = answer[3].int else { return nil }
        return .sent(
            Receipt(position: position, gateways: gateways, consumers: .init(told: told, skipped: skipped)))
    }

    /// Adds connections to groups.
    ///
    /// - Parameters:
    ///   - members: connections with the group each joins; at most a few hundred per call.
    ///   - gateway: the gateway's name.
    ///   - lease: the holder of the gateway's lease, `GW@PROCESS:LINK`, or the gateway's name alone.
    ///   - expiry: `group_expiry`, in seconds.
    func groupAdd(
        _ members: some Collection<(group: GroupName, member: Member)>, gateway: String, lease: String, expiry: Int
    ) -> FunctionCall<GroupAddAnswer> {
        let count = members.count
        var call = FunctionCall(.groupAdd, keys: members.lazy.map { keys.group($0.group) }) {
            GroupAddAnswer($0, of: count)
        }
        call.append(lease)
        call.append(expiry)
        for (_, member) in members {
            call.append(keys.channelName(gateway: gateway, connection: member.connection))
            call.append(member.user ?? "")
            if let info = member.info { call.append(info) } else { call.append("") }
        }
        return call
    }

    /// Removes connections from groups. The answer counts those removed now rather than left to a later sweep.
    func groupDiscard(
        _ departures: some Collection<(group: GroupName, connection: ConnectionID)>, gateway: String, lease: String
    ) -> FunctionCall<Int> {
        var call = FunctionCall(.groupDiscard, keys: departures.lazy.map { keys.group($0.group) }, read: \.int)
        call.append(lease)
        for (_, connection) in departures {
            call.append(keys.channelName(gateway: gateway, connection: connection))
        }
        return call
    }

    /// The group's position, created if there is none.
    func groupPosition(of group: GroupName) -> FunctionCall<Position> {
        FunctionCall(.groupPosition, keys: [keys.group(group)]) { $0.text.flatMap { Position($0) } }
    }
}

extension LayerKeys {
    /// `group_send` as a plain command, for a bench that only distinguishes answers from errors.
    public func groupSend(_ message: ByteBuffer, to group: GroupName) -> RedisCommand {
        LayerFunctions(keys: self).groupSend(message, to: group).command
    }
}
