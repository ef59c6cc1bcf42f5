import Broker
import Logging
import NIOCore
import NIOEmbedded

@testable import Gateway

/// A shard on an event loop and a backplane that the test controls. For tests that do not wait: everything happens on the
/// test's thread.
final class SessionHouse {
    let loop = EmbeddedEventLoop()
    let backplane: ScriptedBackplane
    let metrics = Metrics()
    let shard: Shard
    static let group = try! GroupName("g")

    init(_ change: (inout GatewayConfiguration) -> Void = { _ in }) {
        backplane = ScriptedBackplane(loop)
        var configuration = GatewayConfiguration(
            host: "127.0.0.1", port: 0, allowedHosts: AllowedHosts([]), routes: [])
        change(&configuration)
        let state = GatewayState(
            GatewaySettings(configuration, authenticators: [:]), backplane: backplane, metrics: GatewayMetrics(metrics),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        shard = Shard(state, eventLoop: loop, index: 0)
    }

    /// A client that has joined `g` at a position.
    func client(
        _ form: WireForm = .eventStream, at position: Position, isResumption: Bool = false,
        tracking: Tracking = .none
    ) -> FakeTransport {
        let transport = FakeTransport(form, shard)
        transport.session.open(
            JoinHold([Self.group], on: shard),
            at: [Session.Start(position: position, isResumption: isResumption, tracking: tracking)])
        return transport
    }

    static func at(_ offset: UInt64, history: HexDigits = "a") -> Position {
        Position(epoch: "e", history: history, offset: offset)
    }

    static func publication(_ offset: UInt64, history: HexDigits = "a", isLogged: Bool = true) -> Publication {
        Publication(
            group: group, position: at(offset, history: history), json: ByteBuffer(string: #"{"n":\#(offset)}"#),
            isLogged: isLogged)
    }

    func deliver(_ publications: Publication...) { shard.deliver(publications.map { .publication($0) }) }

    func lose(_ continuity: Continuity, at position: Position) {
        shard.deliver([.lost(Self.group, continuity, position)])
    }

    /// Answers the oldest read.
    func answer(_ continuity: Continuity, now: Position?, proven: UInt64, _ offsets: ClosedRange<UInt64>? = nil) {
        let entries = (offsets.map(Array.init) ?? []).map { offset in
            HistoryEntry(offset: offset, publication: Self.publication(offset, history: now?.history ?? "a"))
        }
        backplane.answer(
            HistoryPage(continuity: continuity, position: now, proven: proven, entries: entries), on: loop)
    }
}

/// Records requests, and answers when the test says so. On the test's thread only.
final class ScriptedBackplane: Backplane, @unchecked Sendable {
    struct Read {
        let since: Position?
        let bytes: Int
        let ticket: ReadTicket
        let promise: EventLoopPromise<HistoryPage>
    }

    private let loop: EmbeddedEventLoop
    private(set) var reads: [Read] = []
    private(set) var discarded: [ConnectionID] = []
    private(set) var givenUp = 0

    init(_ loop: EmbeddedEventLoop) { self.loop = loop }

    func answer(_ page: HistoryPage, on loop: EmbeddedEventLoop) {
        reads.removeFirst().promise.succeed(page)
        loop.run()
    }

    func fail() {
        reads.removeFirst().promise.fail(BackplaneError(.unavailable, "away"))
        loop.run()
    }

    func read(_ group: GroupName, since: Position?, bytes: Int, _ ticket: ReadTicket) -> EventLoopFuture<HistoryPage> {
        let promise = loop.makePromise(of: HistoryPage.self)
        reads.append(Read(since: since, bytes: bytes, ticket: ticket, promise: promise))
        return promise.futureResult
    }

    func giveUp(_ ticket: ReadTicket) {
        givenUp += 1
        for read in reads where read.ticket == ticket { read.promise.fail(BackplaneError(.unavailable, "given up")) }
        reads.removeAll { $0.ticket == ticket }
    }

    func groupDiscard(_ connection: ConnectionID, from group: GroupName, outlet: Int) { discarded.append(connection) }

    func attach(_ outlets: [any Outlet]) {}
    func groupAdd(_ member: Member, to group: GroupName, outlet: Int) -> EventLoopFuture<GroupEntry> {
        loop.makeSucceededFuture(GroupEntry(position: now, tracking: tracking))
    }
    func position(of group: GroupName) -> EventLoopFuture<Position> { loop.makeSucceededFuture(.beginning) }
    func presence(_ group: GroupName) -> EventLoopFuture<[PresenceEntry]> { loop.makeSucceededFuture([]) }
    func channelSend(_ message: ByteBuffer, to channel: ChannelName) -> EventLoopFuture<Bool> {
        loop.makeSucceededFuture(true)
    }

    /// What joins are answered.
    var now = Position.beginning
    var tracking = Tracking.none
    private(set) var confirmed: [Confirmation] = []
    func confirm(_ confirmation: Confirmation) { confirmed.append(confirmation) }
    /// The state that an inbox answers; nil: there is none.
    var inbox: InboxState?
    /// Messages of a page, newest first.
    var entries: [InboxPage.Entry] = []
    /// Marks and pages fail with it.
    var inboxError: BackplaneError?
    private(set) var marks: [ReadMark] = []
    private(set) var pages: [String] = []

    func mark(_ mark: ReadMark, in group: GroupName, user: String?) -> EventLoopFuture<InboxState> {
        marks.append(mark)
        return answer { $0 }
    }

    func inbox(
        of group: GroupName, user: String?, before: Position?, limit: Int
    ) -> EventLoopFuture<InboxPage> {
        pages.append("\(group) \(before?.description ?? "newest") \(limit)")
        return answer { InboxPage(state: $0, entries: limit > 0 ? self.entries : []) }
    }

    private func answer<T: Sendable>(_ value: (InboxState) -> T) -> EventLoopFuture<T> {
        guard let inbox, inboxError == nil else {
            return loop.makeFailedFuture(inboxError ?? BackplaneError(.refused, "no inbox"))
        }
        return loop.makeSucceededFuture(value(inbox))
    }

    func channelName(of connection: ConnectionID) -> String { "specific.gw!\(connection)" }

    func groupSend(_ message: ByteBuffer, to group: GroupName) -> EventLoopFuture<Receipt> {
        loop.makeFailedFuture(BackplaneError(.unavailable, "nobody sends here"))
    }
}

/// A socket with a given amount of room, which records what its client would see.
final class FakeTransport: SessionTransport {
    private(set) var session: Session!
    /// `1`, `2` … for messages; `gap`, `dropped 3` for notifications.
    private(set) var seen: [String] = []
    /// Messages that are accepted before the socket is full.
    var room = Int.max
    var isOpen = true
    /// Queued bytes, as set by the test.
    var pendingBytes = 0
    private let isCentrifuge: Bool
    /// Payloads of the pings, each at its place among what was seen as `ping`.
    private(set) var pings: [ByteBuffer] = []
    var user: String?

    init(_ form: WireForm, _ shard: Shard) {
        isCentrifuge = form == .centrifuge
        session = Session(
            id: .random(), form: form, groups: [SessionHouse.group], shard: shard, transport: self)
    }

    var isWritable: Bool { isOpen && room > 0 }
    var deflateWindow: DeflateWindow? { nil }

    func write(_ bytes: ByteBuffer) {
        if let ping = bytes.getSlice(at: 2, length: bytes.readableBytes - 2), bytes.readableBytesView.first == 0x89 {
            seen.append("ping")
            return pings.append(ping)
        }
        for part in String(buffer: bytes).split(separator: #""n":"#).dropFirst() {
            seen.append(String(part.prefix(while: \.isNumber)))
            room -= 1
        }
    }

    func send(_ bytes: ByteBuffer) { write(bytes) }
    func flush() {}

    /// Like the centrifuge dialect: the client leaves the group, and subscribes again.
    func tellLost(_ group: GroupName, _ continuity: Continuity) {
        seen.append(continuity.name)
        if isCentrifuge { session.remove(group) }
    }

    func tellDropped(_ group: GroupName, _ count: Int) { seen.append("dropped \(count)") }

    /// The socket has sent its queued bytes.
    func drain(_ room: Int = .max) {
        self.room = room
        pendingBytes = 0
        session.proceedAll()
    }
}
