import Broker
import NIOCore
import Synchronization

@testable import Operations

/// A fleet in memory, which records requests and can be unavailable.
final class FakeFleet: Administration {
    struct Sent: Equatable {
        var group: String
        var json: String
        var ttl: Int?
        var key: String?
    }
    private struct State {
        var sent: [Sent] = []
        var ended: [ConnectionSelection] = []
        var failure: BackplaneError?
    }
    private let state = Mutex(State())

    var sent: [Sent] { state.withLock { $0.sent } }
    var ended: [ConnectionSelection] { state.withLock { $0.ended } }
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
                Sent(group: group.text, json: String(buffer: message), ttl: options.ttl, key: options.key))
            return state.sent.count
        }
        return .sent(Receipt(position: Self.position(UInt64(count)), gateways: 2))
    }

    func channelSend(_ message: ByteBuffer, to channel: ChannelName) async throws(BackplaneError) -> Bool {
        try check()
        state.withLock { $0.sent.append(Sent(group: channel.text, json: String(buffer: message), ttl: nil, key: nil)) }
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
}
