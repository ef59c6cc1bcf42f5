import Broker
import Escalation
import NIOCore
import Synchronization

@testable import Operations

/// A fleet in memory, which records requests and can be unavailable.
final class FakeFleet: Administration {
    struct Sent: Equatable {
        var group: String
        var json: String
        var options = SendOptions()
    }
    private struct State {
        var sent: [Sent] = []
        var ended: [ConnectionSelection] = []
        var failure: BackplaneError?
        var subscriptions: [String: PushSubscription] = [:]
        var marks: [ReadMark] = []
        var erased: [String] = []
        var retried: [String?] = []
    }
    private let state = Mutex(State())

    var sent: [Sent] { state.withLock { $0.sent } }
    var ended: [ConnectionSelection] { state.withLock { $0.ended } }
    var subscriptions: [String: PushSubscription] { state.withLock { $0.subscriptions } }
    var marks: [ReadMark] { state.withLock { $0.marks } }
    var erased: [String] { state.withLock { $0.erased } }
    var retried: [String?] { state.withLock { $0.retried } }
    /// What waits: cancelled by this id.
    static let scheduled = ScheduledID("5a0c@g")!
    func fail(_ error: BackplaneError?) { state.withLock { $0.failure = error } }

    private func check() throws(BackplaneError) {
        if let failure = state.withLock({ $0.failure }) { throw failure }
    }

    func end(_ selection: ConnectionSelection) async throws(BackplaneError) -> BroadcastReceipt {
        try check()
        state.withLock { $0.ended.append(selection) }
        return BroadcastReceipt(gateways: 2, living: 3)
    }

    private static func position(_ offset: UInt64) -> Position { Position(epoch: "e", history: "a", offset: offset) }

    func send(
        _ message: ByteBuffer, to group: GroupName, _ options: SendOptions
    ) async throws(BackplaneError) -> SendAnswer {
        try check()
        let count = state.withLock { state in
            state.sent.append(
                Sent(group: group.text, json: String(buffer: message), options: options))
            return state.sent.count
        }
        if options.time != nil { return .scheduled(Self.scheduled.description) }
        return .sent(Receipt(position: Self.position(UInt64(count)), gateways: 2))
    }

    func channelSend(_ message: ByteBuffer, to channel: ChannelName) async throws(BackplaneError) -> Bool {
        try check()
        state.withLock { $0.sent.append(Sent(group: channel.text, json: String(buffer: message))) }
        return true
    }

    func history(of group: GroupName, since: Position?) async throws(BackplaneError) -> HistoryPage {
        try check()
        let first = since?.offset ?? 0
        let entries = sent.enumerated().dropFirst(Int(first)).map { index, sent in
            let position = Self.position(UInt64(index) + 1)
            return HistoryEntry(
                offset: position.offset,
                publication: Publication(group: group, position: position, json: ByteBuffer(string: sent.json)))
        }
        return HistoryPage(
            continuity: .resumed, position: Self.position(UInt64(sent.count)), proven: first, entries: entries)
    }

    func members(_ group: GroupName) async throws(BackplaneError) -> [FleetMember] {
        try check()
        return [
            FleetMember(
                channel: "specific.gw!1", user: "a\"b", gateway: "gw", since: 5, info: ByteBuffer(string: #"{"n":1}"#)),
            FleetMember(channel: "specific.gw!2", user: nil, gateway: "gw", since: 6, info: nil),
        ]
    }

    func gateways() async throws(BackplaneError) -> [FleetGateway] {
        try check()
        return [FleetGateway(id: "gw", fields: ["host": "h", "connections": "3", "pid": "x"])]
    }

    func receipts(of group: GroupName, at position: Position) async throws(BackplaneError) -> ByteBuffer {
        try check()
        return ByteBuffer(
            string: #"{"position":"\#(position)","users":[{"user":"42","delivered":false,"read":false}]}"#)
    }

    /// `quiet` keeps no inbox.
    func groups(of user: String) async throws(BackplaneError) -> [GroupName] {
        try check()
        return ["a", "quiet", "b"].map { try! GroupName($0) }
    }

    func inbox(
        of group: GroupName, user: String, before: Position?, limit: Int
    ) async throws(BackplaneError) -> InboxPage {
        try check()
        guard group.text != "quiet" else {
            throw BackplaneError(.refused, "the group keeps no inbox: set `inbox: true` in its policy")
        }
        let last = before.map { $0.offset - 1 } ?? 3
        let entries = stride(from: last, to: 0, by: -1).prefix(limit).map { offset in
            InboxPage.Entry(
                position: Self.position(offset), json: ByteBuffer(string: "{\"n\":\(offset)}"), isRead: offset == 1)
        }
        return InboxPage(state: InboxState(unread: 2, read: Self.position(1)), entries: Array(entries))
    }

    func mark(_ mark: ReadMark, in group: GroupName, user: String) async throws(BackplaneError) -> InboxState {
        try check()
        state.withLock { $0.marks.append(mark) }
        return InboxState(unread: 0, read: Self.position(3))
    }

    var outbound: OutboundPolicy { OutboundPolicy() }

    func register(_ subscription: PushSubscription, of user: String) async throws(BackplaneError) -> Int {
        try check()
        return state.withLock { state in
            state.subscriptions[subscription.id] = subscription
            return state.subscriptions.count
        }
    }

    func removeSubscription(_ id: String, of user: String) async throws(BackplaneError) -> Bool {
        try check()
        return state.withLock { $0.subscriptions.removeValue(forKey: id) != nil }
    }

    func erase(_ user: String) async throws(BackplaneError) -> Erasure {
        try check()
        state.withLock { $0.erased.append(user) }
        return Erasure(groups: [try! GroupName("a")], heard: BroadcastReceipt(gateways: 2, living: 2))
    }

    func scheduled(in group: GroupName?, limit: Int) async throws(BackplaneError) -> [ScheduledMessage] {
        try check()
        let answer = #"{"scheduled":[{"id":"5a0c@g","group":"g","at":1795351382.500,"message":{"n":1}}]}"#
        let all = ScheduledMessage.list([ByteBuffer(string: answer)], limit: limit) ?? []
        return all.filter { group == nil || $0.group == group?.text }
    }

    func cancel(_ id: ScheduledID) async throws(BackplaneError) -> Bool {
        try check()
        return id == Self.scheduled
    }

    func escalations(limit: Int) async throws(BackplaneError) -> EscalationOverview {
        try check()
        let answer = #"{"targets":[{"target":"site","waiting":1,"in_flight":2}],"dead":[]}"#
        return EscalationOverview([ByteBuffer(string: answer)], limit: limit)!
    }

    func retryEscalation(_ id: String?) async throws(BackplaneError) -> Int {
        try check()
        state.withLock { $0.retried.append(id) }
        return id == "esc_0/site" || id == nil ? 1 : 0
    }
}
