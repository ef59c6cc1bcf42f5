import Broker
import NIOCore

/// `tocsin.v1`: messages with their position and read flag, read states, and commands on inboxes (docs/protocol.md).
///
/// Lives on its shard's loop; owned by its connection.
final class InboxDialect: ClientDialect {
    /// Commands that may wait for Redis, and for room in a full socket.
    private static let maximumWaiting = 16, maximumHeld = 64

    private let shard: Shard
    private let session: Session
    private unowned let connection: any DialectConnection
    private let input: ClientInput
    private let desk: InboxDesk
    private let starts: [Session.Start]
    private let unreadable: [GroupName]
    /// nil once the session is open.
    private var joining: Joining?
    private var isEnded = false
    /// Set once, by `init`.
    private var states: InboxStates!
    /// Inboxes whose state is to be told when there is room.
    private var owed: Set<GroupName> = []
    /// Commands that Redis has not answered.
    private var waiting = 0
    /// Whether one of them is a page: one at a time, because they can be long.
    private var isPaging = false
    /// Commands that came while the socket was full.
    private var held: [ByteBuffer] = []

    /// - Parameters:
    ///   - joining: has completed its joins.
    ///   - starts: the groups, each from where the client goes on.
    ///   - unreadable: groups of which the request's `since` could not be read.
    init(
        shard: Shard, session: Session, connection: any DialectConnection, input: ClientInput, user: String?,
        joining: Joining, starts: [Session.Start], unreadable: [GroupName]
    ) {
        self.shard = shard
        self.session = session
        self.connection = connection
        self.input = input
        self.joining = joining
        self.starts = starts
        self.unreadable = unreadable
        desk = InboxDesk(
            backplane: shard.state.backplane, eventLoop: shard.eventLoop, user: user,
            namesGroups: joining.groups.count > 1)
        states = InboxStates(desk, joining.groups, starts) { [unowned self] in tellState(of: $0, $1) }
    }

    var keepAlive: KeepAlive { KeepAlive.pings(of: session.id, shard.settings.configuration) }
    var openingSeconds: Int? { nil }
    var isEstablished: Bool { true }

    // MARK: Opening

    func opened() {
        session.confirm(starts)
        if input.forwards { input.connected { [unowned self] in answer($0, reference: nil) } }
        states.begin { [unowned self] in openSession() }
    }

    /// Messages follow the states, because their read flags depend on them.
    private func openSession() {
        guard let joining else { return }
        self.joining = nil
        for group in unreadable {
            let position = zip(session.groups, starts).first { $0.0 == group }?.1.position
            connection.say(InboxFrame.gap(after: position, .reset, of: named(group)))
        }
        session.open(joining.take(), at: starts)
    }

    private func named(_ group: GroupName) -> GroupName? { desk.namesGroups ? group : nil }

    private func tellState(of group: GroupName, _ mark: ReadMark? = nil) {
        guard let state = states.state(of: group) else { return }
        guard connection.isWritable else { return owed = owed.union([group]) }
        connection.say(InboxFrame.state(state, mark, of: named(group)))
    }

    // MARK: What others do

    func inboxChanged(_ group: GroupName, _ change: ReadStateChange) { states.changed(group, change) }

    func isRead(_ position: Position, in group: GroupName) -> Bool { states.isRead(position, in: group) }

    func lost(_ group: GroupName, _ continuity: Continuity) {
        if continuity == .liveOnly { return }
        let position = zip(session.groups, session.shown).first { $0.0 == group }?.1
        connection.say(InboxFrame.gap(after: position, continuity, of: named(group)))
    }

    func dropped(_ group: GroupName, _ count: Int) { connection.say(InboxFrame.dropped(count, of: named(group))) }

    func roomAgain() {
        let states = owed
        owed = []
        for group in states { tellState(of: group) }
        let commands = held
        held = []
        for command in commands where !isEnded { received(command) }
    }

    func ended() {
        isEnded = true
        states.end()
        held = []
        input.disconnected()
        // The session leaves the groups itself.
        if let joining { _ = joining.take() }
        joining = nil
    }

    // MARK: Commands

    func received(binary: ByteBuffer) -> Bool { false }

    func received(_ text: ByteBuffer) {
        guard connection.isWritable else {
            guard held.count < Self.maximumHeld else { return connection.close(.slow) }
            return held.append(text)
        }
        let (reference, command) = InboxCommand.parse(text)
        do throws(InboxError) {
            try perform(try command.get(), reference)
        } catch {
            connection.say(InboxFrame.error(error, reference: reference))
        }
    }

    private func perform(_ command: InboxCommand, _ reference: ByteBuffer?) throws(InboxError) {
        if case .send(let message) = command.request { return try send(message, reference) }
        let group = try InboxDesk.group(command.group, among: states.inboxes)
        let isPage = if case .page = command.request { true } else { false }
        guard waiting < Self.maximumWaiting, !isPage || !isPaging else {
            throw InboxError(.busy, "wait for the answers to your earlier commands")
        }
        waiting += 1
        if isPage { isPaging = true }
        // The change itself is told to all of the user's devices, this one included.
        let isAnswered = if case .mark = command.request { reference != nil } else { true }
        desk.perform(command.request, in: group, reference: reference).assumeIsolated().whenComplete { result in
            self.waiting -= 1
            if isPage { self.isPaging = false }
            guard !self.isEnded else { return }
            switch result {
            case .success(let answer): if isAnswered { self.connection.say(answer) }
            case .failure(let error):
                self.connection.say(
                    InboxFrame.error(error as? InboxError ?? InboxError(error), reference: reference))
            }
        }
    }

    private func send(_ message: ByteBuffer, _ reference: ByteBuffer?) throws(InboxError) {
        guard input.receive != .ignore else {
            throw InboxError(.notAllowed, "this route takes no messages: its receive is ignore")
        }
        input.received(message) { [weak self] in
            self?.answer($0, reference: reference)
        } fail: { [weak self] reason in
            guard let self, !isEnded else { return }
            let error: InboxError =
                switch reason {
                case .messageNotAccepted: InboxError(.unavailable, "the message was not accepted; try again")
                default: InboxError(.refused, "the message was refused")
                }
            connection.say(InboxFrame.error(error, reference: reference))
        }
    }

    /// An answer of the route's worker or site. Skipped when the socket is full, as for a plain client.
    private func answer(_ result: Result<ByteBuffer, ForwardError>, reference: ByteBuffer?) {
        guard !isEnded, connection.isWritable else { return }
        switch result {
        case .success(let text): connection.say(InboxFrame.answer(text, reference: reference))
        case .failure(let error):
            connection.say(InboxFrame.lost(error, reference: reference))
        }
    }

    static func words(for reason: CloseReason) -> CloseWords? { PlainDialect.words(for: reason) }
}

@available(*, unavailable) extension InboxDialect: Sendable {}
