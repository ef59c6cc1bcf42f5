import Broker
import NIOCore
import NIOPosix
import Synchronization

/// A backplane in memory, with groups, logs and outlets; it can be told to fail.
final class FakeBackplane: Backplane {
    enum Mood: Sendable { case willing, unavailable, refusing, silent }

    struct Sent: Sendable, Equatable {
        var group: String
        var json: String
    }

    private struct State {
        var outlets: [any Outlet] = []
        var members: [GroupName: [ConnectionID: (outlet: Int, user: String?)]] = [:]
        var log: [GroupName: [ByteBuffer]] = [:]
        var joins = Mood.willing
        var sends = Mood.willing
        var reads = Mood.willing
        /// The number of bytes that each read requested.
        var readBytes: [Int] = []
        /// The promises that silent reads wait for, by ticket.
        var reading: [ReadTicket: [EventLoopPromise<Void>]] = [:]
        var waiting: [EventLoopPromise<Void>] = []
        var sent: [Sent] = []
        var joined = 0
    }

    private let state = Mutex(State())
    private let loop = MultiThreadedEventLoopGroup.singleton.next()

    func attach(_ outlets: [any Outlet]) { state.withLock { $0.outlets = outlets } }

    func groupAdd(_ member: Member, to group: GroupName, outlet: Int) -> EventLoopFuture<GroupEntry> {
        let (mood, position) = state.withLock { state in
            if state.joins != .unavailable, state.joins != .refusing {
                state.members[group, default: [:]][member.connection] = (outlet, member.user)
                state.joined += 1
            }
            return (state.joins, Self.position(state.log[group]?.count ?? 0))
        }
        return answer(mood).map { GroupEntry(position: position) }
    }

    func position(of group: GroupName) -> EventLoopFuture<Position> {
        answer(state.withLock { $0.joins }).map { Self.position(0) }
    }

    func groupDiscard(_ connection: ConnectionID, from group: GroupName, outlet: Int) {
        state.withLock { state in
            state.members[group]?[connection] = nil
            if state.members[group]?.isEmpty == true { state.members[group] = nil }
        }
    }

    func read(
        _ group: GroupName, since: Position?, bytes: Int, _ ticket: ReadTicket
    ) -> EventLoopFuture<HistoryPage> {
        let (mood, asked) = state.withLock { state in
            state.readBytes.append(bytes)
            let promise = loop.makePromise(of: Void.self)
            if state.reads == .silent { state.reading[ticket, default: []].append(promise) }
            return (state.reads, promise)
        }
        if mood != .silent { asked.completeWith(answer(mood)) }
        return asked.futureResult.map { self.page(group, since: since, bytes: bytes) }
    }

    private func page(_ group: GroupName, since: Position?, bytes: Int) -> HistoryPage {
        let log = state.withLock { $0.log[group] ?? [] }
        let first = min(Int(since?.offset ?? UInt64(log.count)), log.count)
        let entries = log[first...].enumerated().map { index, json in
            let position = Self.position(first + index + 1)
            return HistoryEntry(
                offset: position.offset, publication: Publication(group: group, position: position, json: json))
        }
        var left = bytes
        let fitting = entries.prefix(100).prefix { entry in
            defer { left -= entry.publication?.json.readableBytes ?? 0 }
            return left > 0
        }
        return HistoryPage(
            continuity: .resumed, position: Self.position(log.count), proven: UInt64(first), entries: Array(fitting))
    }

    func giveUp(_ ticket: ReadTicket) {
        ticket.end()
        let promises = state.withLock { $0.reading.removeValue(forKey: ticket) ?? [] }
        for promise in promises { promise.fail(BackplaneError(.unavailable, "given up")) }
    }

    func presence(_ group: GroupName) -> EventLoopFuture<[PresenceEntry]> { loop.makeSucceededFuture([]) }

    func channelSend(_ message: ByteBuffer, to channel: ChannelName) -> EventLoopFuture<Bool> {
        loop.makeSucceededFuture(true)
    }

    func confirm(_ confirmation: Confirmation) {}

    func mark(_ mark: ReadMark, in group: GroupName, user: String?) -> EventLoopFuture<InboxState> {
        loop.makeFailedFuture(BackplaneError(.refused, "no inbox"))
    }

    func inbox(
        of group: GroupName, user: String?, before: Position?, limit: Int
    ) -> EventLoopFuture<InboxPage> {
        loop.makeFailedFuture(BackplaneError(.refused, "no inbox"))
    }

    func channelName(of connection: ConnectionID) -> String { "specific.gw!\(connection)" }

    func groupSend(_ message: ByteBuffer, to group: GroupName) -> EventLoopFuture<Receipt> {
        let mood = state.withLock { $0.sends }
        guard mood == .willing else { return answer(mood).map { Receipt(position: Self.position(0), gateways: 0) } }
        state.withLock { $0.sent.append(Sent(group: group.text, json: String(buffer: message))) }
        return loop.makeSucceededFuture(Receipt(position: publish(message, to: group.text), gateways: 1))
    }

    private func answer(_ mood: Mood) -> EventLoopFuture<Void> {
        switch mood {
        case .willing: return loop.makeSucceededVoidFuture()
        case .unavailable: return loop.makeFailedFuture(BackplaneError(.unavailable, "away"))
        case .refusing: return loop.makeFailedFuture(BackplaneError(.refused, "no"))
        case .silent:
            let promise = loop.makePromise(of: Void.self)
            state.withLock { $0.waiting.append(promise) }
            return promise.futureResult
        }
    }

    private static func position(_ offset: Int) -> Position {
        Position(epoch: "e", history: "a", offset: UInt64(offset))
    }

    // MARK: The test's side

    @discardableResult
    func publish(_ json: ByteBuffer, to group: String) -> Position {
        let name = try! GroupName(group)
        // On the loop, as in the real one, and queued under the lock: outlets see messages in the order of offsets.
        return state.withLock { state in
            state.log[name, default: []].append(json)
            let position = Self.position(state.log[name]!.count)
            loop.execute { self.deliver(Publication(group: name, position: position, json: json)) }
            return position
        }
    }

    private func deliver(_ publication: Publication) {
        let outlets = state.withLock { state in
            Set((state.members[publication.group] ?? [:]).values.map(\.outlet)).map { state.outlets[$0] }
        }
        for outlet in outlets { outlet.deliver([.publication(publication)]) }
    }

    @discardableResult
    func publish(_ json: String, to group: String) -> Position { publish(ByteBuffer(string: json), to: group) }

    /// Delivers messages as one read from Redis would: in one call to every loop.
    func publish(together messages: [(json: String, group: String)]) {
        let (outlets, deliveries) = state.withLock { state in
            let deliveries = messages.map { message in
                let name = try! GroupName(message.group), json = ByteBuffer(string: message.json)
                state.log[name, default: []].append(json)
                return Delivery.publication(
                    Publication(group: name, position: Self.position(state.log[name]!.count), json: json))
            }
            return (state.outlets, deliveries)
        }
        loop.execute { for outlet in outlets { outlet.deliver(deliveries) } }
    }

    /// To every loop, as for an operator's message.
    func everywhere(_ delivery: Delivery) {
        for outlet in state.withLock({ $0.outlets }) { outlet.deliver([delivery]) }
    }

    func connections(in group: String) -> [ConnectionID] {
        state.withLock { $0.members[try! GroupName(group)].map { Array($0.keys) } ?? [] }
    }

    func setJoins(_ mood: Mood) { state.withLock { $0.joins = mood } }
    func setReads(_ mood: Mood) { state.withLock { $0.reads = mood } }
    /// Number of reads waiting for an answer, while reads are silent.
    var readsWaiting: Int { state.withLock { $0.reading.values.map(\.count).reduce(0, +) } }
    var readBytes: [Int] { state.withLock { $0.readBytes } }
    func setSends(_ mood: Mood) { state.withLock { $0.sends = mood } }

    /// Completes everything that a silent mood has held back.
    func release() {
        let waiting = state.withLock { state in
            defer {
                state.waiting = []
                state.reading = [:]
            }
            return state.waiting + state.reading.values.flatMap { $0 }
        }
        for promise in waiting { promise.succeed() }
    }

    var waiting: Int { state.withLock { $0.waiting.count } }
    var sent: [Sent] { state.withLock { $0.sent } }
    /// Current number of memberships.
    var memberships: Int { state.withLock { $0.members.values.map(\.count).reduce(0, +) } }
    func users(in group: String) -> [String?] {
        state.withLock { $0.members[try! GroupName(group)]?.values.map(\.user) ?? [] }
    }
}
