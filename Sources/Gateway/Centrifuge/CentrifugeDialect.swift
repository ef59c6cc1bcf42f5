import Broker
import NIOCore

/// The bidirectional centrifuge protocol for one client: commands in, replies and pushes out.
///
/// Each group is a centrifuge channel. Lives on its shard's loop; owned by its connection.
final class CentrifugeDialect: ClientDialect {
    private enum Stage { case waiting, connecting, connected, ended }

    private let id: ConnectionID
    let shard: Shard
    let session: Session
    private let entry: CentrifugeEntry
    private(set) var access: CentrifugeAccess
    private unowned let connection: any DialectConnection
    private var stage = Stage.waiting
    /// Subscriptions in progress.
    private var pending: [GroupName: Joining] = [:]
    /// The server-side subscriptions, while the client connects.
    private var connecting: Joining?
    /// Commands that wait for an earlier one of the same client: for its connect (SDKs send subscriptions right after it), or
    /// for a subscription to the same channel. Also those of a client that sends commands without reading the replies.
    private var held: [CentrifugeCommand] = []
    private static let maximumHeld = 256
    private var joins = TokenBucket()
    /// Whether a history or presence read is in progress. One at a time, because the answers can be long.
    private var isReading = false
    private let subscriptions: CentrifugeSubscriptions
    /// Made for the first rpc.
    private var forwarder: Forwarder?

    private static let version = "tocsin"
    /// The SDKs' ping interval, in seconds.
    static let pingSeconds = 25
    static let pongSeconds = 8
    /// Seconds within which the first command must arrive.
    static let connectSeconds = 10

    init(
        id: ConnectionID, shard: Shard, session: Session, entry: CentrifugeEntry, connection: any DialectConnection
    ) {
        self.id = id
        self.shard = shard
        self.session = session
        self.entry = entry
        access = entry.access ?? .none
        self.connection = connection
        subscriptions = CentrifugeSubscriptions(backplane: shard.state.backplane, eventLoop: shard.eventLoop)
    }

    var isEstablished: Bool { stage == .connected || stage == .connecting }

    /// The protocol's own ping: an SDK in a browser cannot see WebSocket pings.
    var keepAlive: KeepAlive {
        KeepAlive(
            ping: FrameWriter.text(CentrifugeReply.ping), isOwn: true, interval: Self.pingSeconds,
            wait: Self.pongSeconds)
    }

    var openingSeconds: Int? { Self.connectSeconds }

    func opened() {}

    func received(binary: ByteBuffer) -> Bool { false }

    func roomAgain() { resumeHeld() }

    func received(_ text: ByteBuffer) {
        let commands: [CentrifugeCommand]
        do {
            commands = try CentrifugeCommand.commands(in: text)
        } catch {
            return connection.close(CentrifugeDisconnect.badRequest)
        }
        guard connection.charge(commands.count - 1) else { return }
        for command in commands where stage != .ended { handle(command) }
    }

    /// Called when the connection has ended. Cancels joins in progress and stops reading.
    func ended() {
        stage = .ended
        forwarder?.disconnected()
        connecting?.cancel()
        connecting = nil
        for joining in pending.values { joining.cancel() }
        pending = [:]
        shard.state.backplane.giveUp(subscriptions.ticket)
        held = []
    }

    private func handle(_ command: CentrifugeCommand) {
        switch (command.request, stage) {
        case (.pong, _), (.send, .connected): break
        case (.connect(let token, let subs), .waiting): connect(command.id, token, subs)
        case (_, .waiting), (.connect, _): connection.close(CentrifugeDisconnect.badRequest)
        case (_, .connecting): hold(command)
        case (_, .ended): break
        case (let request, .connected):
            guard command.id > 0 else { return connection.close(CentrifugeDisconnect.badRequest) }
            if !connection.isWritable || mustWait(request) { return hold(command) }
            do throws(CentrifugeError) { try perform(request, command.id) } catch { fail(command.id, error) }
        }
    }

    private func mustWait(_ request: CentrifugeCommand.Request) -> Bool {
        switch request {
        case .subscribe(let channel, _), .unsubscribe(let channel): pending.keys.contains { $0.text == channel }
        case .history, .presence, .presenceStats: isReading
        case .rpc(let method, _) where method.hasPrefix(Self.inboxMethods): isReading
        default: false
        }
    }

    private func hold(_ command: CentrifugeCommand) {
        guard held.count < Self.maximumHeld else { return connection.close(CentrifugeDisconnect.slow) }
        held.append(command)
    }

    /// Runs held commands after the one they waited for has finished. Those that must still wait keep their order.
    private func resumeHeld() {
        let commands = held
        held = []
        for command in commands where stage != .ended { handle(command) }
    }

    private func fail(_ id: UInt32, _ error: CentrifugeError) { connection.say(CentrifugeReply.error(id, error)) }

    private func perform(_ request: CentrifugeCommand.Request, _ id: UInt32) throws(CentrifugeError) {
        switch request {
        case .subscribe(let channel, let recovery):
            try subscribe(id, try group(channel, access.allowsJoining), recovery)
        case .unsubscribe(let channel):
            session.remove(try name(channel))
            connection.say(CentrifugeReply.empty(id, "unsubscribe"))
        case .publish(let channel, let data): try publish(id, try group(channel, access.allowsPublishing), data)
        case .presence(let channel):
            presence(id, try group(channel, access.allowsSeeing)) { CentrifugeReply.presence(id, $0) }
        case .presenceStats(let channel):
            presence(id, try group(channel, access.allowsSeeing)) { clients in
                CentrifugeReply.presenceStats(id, clients: clients.count, users: Set(clients.map(\.user)).count)
            }
        case .history(let channel, let limit, let since, let reverse):
            history(id, try group(channel, access.allowsSeeing), limit, since, reverse)
        case .ping: connection.say(CentrifugeReply.empty(id, "ping"))
        case .rpc(let method, let data) where method.hasPrefix(Self.inboxMethods):
            try callInbox(id, method, data)
        case .rpc(let method, let data): try call(id, method, data)
        case .unknown: throw .methodNotFound
        case .refresh(let token): try refresh(id, token)
        case .subRefresh: throw .notAvailable
        case .connect, .send, .pong: break
        }
    }

    private func name(_ channel: String) throws(CentrifugeError) -> GroupName {
        do { return try GroupName(channel) } catch { throw .badRequest }
    }

    /// The group of a channel name. Answers the same whether or not the group exists.
    private func group(_ channel: String, _ allows: (GroupName) -> Bool) throws(CentrifugeError) -> GroupName {
        let group = try name(channel)
        guard allows(group) else { throw .permissionDenied }
        return group
    }

    // MARK: Connecting and subscribing

    private func connect(_ command: UInt32, _ token: String?, _ subs: [String: CentrifugeCommand.Recovery]) {
        guard command > 0 else { return connection.close(CentrifugeDisconnect.badRequest) }
        if entry.access != nil { return connect(command, subs, secondsLeft: nil) }
        guard let login = entry.login, let token, !token.isEmpty else {
            return connection.close(CentrifugeDisconnect.invalidToken)
        }
        stage = .connecting
        identify(token, login) { result in
            guard self.stage == .connecting else { return }
            self.stage = .waiting
            switch result {
            case .success(let identity):
                guard let access = self.entry.accessOf(identity) else {
                    return self.connection.close(CentrifugeDisconnect.permissionDenied)
                }
                guard (try? self.connection.loggedIn(identity)) != nil else {
                    return self.connection.close(CentrifugeDisconnect.connectionLimit)
                }
                self.access = access
                self.connect(command, subs, secondsLeft: identity.secondsLeft)
            case .failure(.expired): self.fail(command, .tokenExpired)
            case .failure(.refused): self.connection.close(CentrifugeDisconnect.invalidToken)
            case .failure(.unavailable): self.fail(command, .internal)
            }
        }
    }

    /// Extends the login with a fresh token of the same user.
    private func refresh(_ command: UInt32, _ token: String) throws(CentrifugeError) {
        guard let login = entry.login else { throw .notAvailable }
        identify(token, login) { result in
            guard self.stage == .connected else { return }
            switch result {
            case .success(let identity) where identity.user == self.access.user:
                guard (try? self.connection.loggedIn(identity)) != nil else {
                    return self.connection.close(CentrifugeDisconnect.invalidToken)
                }
                self.connection.say(
                    CentrifugeReply.refresh(
                        command, client: self.id.description, version: Self.version, ttl: identity.secondsLeft))
            case .success, .failure(.refused): self.connection.close(CentrifugeDisconnect.invalidToken)
            case .failure(.expired): self.fail(command, .tokenExpired)
            case .failure(.unavailable): self.fail(command, .internal)
            }
        }
    }

    private func identify(
        _ token: String, _ login: CentrifugeLogin, _ then: @escaping (Result<Identity, LoginFailure>) -> Void
    ) {
        let (eventLoop, began) = (shard.eventLoop, NIODeadline.now())
        let bound = NIOLoopBound((self, then), eventLoop: eventLoop)
        Task { [login, eventLoop, bound] in
            let result = await login.identify(token: token)
            eventLoop.execute {
                let (client, then) = bound.value
                guard client.stage != .ended else { return }
                if case .success(let identity) = result, client.shard.wasRevoked(identity.user, since: began) {
                    return client.connection.close(CentrifugeDisconnect.forced)
                }
                then(result)
            }
        }
    }

    private func connect(_ command: UInt32, _ subs: [String: CentrifugeCommand.Recovery], secondsLeft: Int?) {
        stage = .connecting
        let joining = Joining(access.serverGroups, of: id, on: shard)
        connecting = joining
        joining.run({ join($0, subs[$0.text]) }) { result in
            self.connecting = nil
            switch result {
            case .success(let all):
                self.stage = .connected
                let subs = zip(joining.groups, all).map { ($0, $1) }
                self.connection.say(
                    CentrifugeReply.connect(
                        command, client: self.id.description, version: Self.version, ttl: secondsLeft,
                        ping: Self.pingSeconds, node: self.shard.state.name, subs: subs))
                self.begin(joining, all)
                self.resumeHeld()
            case .failure: self.connection.close(CentrifugeDisconnect.shutdown)
            }
        }
    }

    private func subscribe(
        _ command: UInt32, _ group: GroupName, _ recovery: CentrifugeCommand.Recovery?
    ) throws(CentrifugeError) {
        guard !session.groups.contains(group) else { throw .alreadySubscribed }
        guard session.groups.count + pending.count < shard.settings.configuration.maximumGroups else {
            shard.state.metrics.joinsTooMany.add()
            throw .limitExceeded
        }
        guard joins.take(of: shard.settings.joinRate, at: .now()) else {
            shard.state.metrics.joinsTooFast.add()
            throw .tooManyRequests
        }
        let joining = Joining([group], of: id, on: shard)
        pending[group] = joining
        joining.run({ join($0, recovery) }) { result in
            self.pending[group] = nil
            switch result {
            case .success(let all):
                self.connection.say(CentrifugeReply.subscribe(command, all[0]))
                self.begin(joining, all)
            case .failure: self.fail(command, .internal)
            }
            self.resumeHeld()
        }
    }

    private func join(
        _ group: GroupName, _ recovery: CentrifugeCommand.Recovery?
    ) -> EventLoopFuture<CentrifugeReply.Subscribed> {
        let member = Member(connection: id, user: access.user, info: access.info)
        return subscriptions.join(member, group, outlet: shard.index, recovery: recovery)
    }

    /// Call after the reply was sent; publications are pushed from now on. A recovery that was cut at its limit continues here.
    private func begin(_ joining: Joining, _ all: [CentrifugeReply.Subscribed]) {
        let starts = all.map { subscribed in
            Session.Start(
                position: subscribed.position,
                isResumption: CentrifugeSubscriptions.isFull(subscribed.publications), tracking: subscribed.tracking)
        }
        session.add(joining.take(), at: starts)
        for (group, subscribed) in zip(joining.groups, all)
        where subscribed.tracking != .none && !subscribed.publications.isEmpty {
            session.wrote(subscribed.position, in: group)
        }
        session.batchEnded()
    }

    /// Called when a group's continuity was lost. The SDK re-subscribes and learns that it cannot recover; for a server-side
    /// subscription it has to reconnect.
    func lost(_ group: GroupName, _ continuity: Continuity) {
        if continuity == .liveOnly { return }
        if access.serverGroups.contains(group) { return connection.close(CentrifugeDisconnect.insufficientState) }
        session.remove(group)
        connection.say(CentrifugeReply.unsubscribe(group, code: 2500, reason: "insufficient state"))
    }

    // MARK: Other commands

    private func publish(_ id: UInt32, _ group: GroupName, _ data: ByteBuffer?) throws(CentrifugeError) {
        guard let data, let message = ClientMessage.message(from: data) else { throw .badRequest }
        let sent = shard.state.backplane.groupSend(message, to: group).flatMapErrorThrowing { error in
            // Retrying would fail again: a "temporary" error would make the SDK retry forever.
            throw (error as? BackplaneError)?.code == .refused ? CentrifugeError.badRequest : error
        }
        answer(id, sent) { _ in CentrifugeReply.empty(id, "publish") }
    }

    /// One rpc at a time reaches the site, in order.
    private func call(_ id: UInt32, _ method: String, _ data: ByteBuffer?) throws(CentrifugeError) {
        guard let remote = entry.remote else { throw .methodNotFound }
        let forwarder =
            self.forwarder
            ?? Forwarder(
                remote.policy,
                ForwardedMessage(
                    channel: shard.state.backplane.channelName(of: self.id), user: access.user, groups: session.groups,
                    path: remote.path, client: remote.client), shard: shard)
        self.forwarder = forwarder
        forwarder.called(method, data) { [unowned self] result in
            guard stage == .connected else { return }
            switch result {
            case .success(let answer):
                // The site's answer becomes a part of the reply.
                let isJSON = answer.map(Self.isJSON) ?? true
                isJSON ? connection.say(CentrifugeReply.rpc(id, data: answer)) : fail(id, .internal)
            case .failure(.overloaded): fail(id, .tooManyRequests)
            case .failure: fail(id, .internal)
            }
        }
    }

    private static func isJSON(_ text: ByteBuffer) -> Bool {
        let object = JSONWriter.object { json in
            json.key("data")
            json.raw(text)
        }
        return (try? JSONFields(object))?.keys.elementsEqual(["data"]) == true
    }

    private func presence(
        _ id: UInt32, _ group: GroupName, _ reply: @escaping ([CentrifugeReply.ClientInfo]) -> ByteBuffer
    ) {
        read(id, shard.state.backplane.presence(group)) { entries in
            reply(entries.map { CentrifugeReply.ClientInfo($0) })
        }
    }

    private func history(
        _ id: UInt32, _ group: GroupName, _ limit: Int, _ since: CentrifugeCommand.Recovery?, _ reverse: Bool
    ) {
        let wanted =
            limit < 0 ? CentrifugeSubscriptions.maximumHistory : min(limit, CentrifugeSubscriptions.maximumHistory)
        read(id, subscriptions.history(group, limit: wanted, since: since, reverse: reverse)) { history in
            CentrifugeReply.history(id, history.publications, position: history.position)
        }
    }

    func read<T: Sendable>(_ id: UInt32, _ future: EventLoopFuture<T>, _ reply: @escaping (T) -> ByteBuffer) {
        isReading = true
        answer(id, future, reply)
        future.hop(to: shard.eventLoop).assumeIsolated().whenComplete { _ in
            self.isReading = false
            self.resumeHeld()
        }
    }

    private func answer<T: Sendable>(_ id: UInt32, _ future: EventLoopFuture<T>, _ reply: @escaping (T) -> ByteBuffer) {
        future.hop(to: shard.eventLoop).assumeIsolated().whenComplete { result in
            guard self.stage == .connected else { return }
            switch result {
            case .success(let value): self.connection.say(reply(value))
            case .failure(let error): self.fail(id, error as? CentrifugeError ?? .internal)
            }
        }
    }
}

extension CentrifugeReply.ClientInfo {
    init(_ entry: PresenceEntry) {
        self.init(user: entry.user ?? "", client: entry.connection, info: entry.info)
    }
}

@available(*, unavailable) extension CentrifugeDialect: Sendable {}
