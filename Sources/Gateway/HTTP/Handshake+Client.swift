import Broker
import NIOCore
import Sockets

/// What an accepted handshake becomes.
extension Handshake {
    func become(_ entrant: Entrant, _ joining: Joining, as entries: [GroupEntry]) {
        let plan = entrant.plan
        switch plan.transport {
        case .webSocket(let key):
            let connection =
                plan.subprotocol == Subprotocol.inbox
                ? inbox(entrant, joining, entries) : plain(entrant, joining, entries)
            hand(over: entrant, to: connection, saying: switching(key, plan))
        case .eventStream(let cursor):
            let (starts, unreadable) = EventCursor.starts(cursor, joining.groups, entries)
            let client = EventStreamClient(
                id: id, slot: entrant.slot, socket: socket, shard: shard, joining: joining, starts: starts,
                unreadable: unreadable)
            hand(over: entrant, to: client, saying: SwitchingAnswer.eventStream(page: page))
        case .command: refuse(.bad("a command joins no group"))
        }
    }

    private func plain(_ entrant: Entrant, _ joining: Joining, _ entries: [GroupEntry]) -> WebSocketConnection {
        webSocket(entrant, .plain, joining.groups) { session, connection in
            PlainDialect(
                input(of: entrant, session), shard: shard, session: session, connection: connection,
                joining: joining, entries: entries)
        }
    }

    private func inbox(_ entrant: Entrant, _ joining: Joining, _ entries: [GroupEntry]) -> WebSocketConnection {
        let (starts, unreadable) = SinceCursor.starts(entrant.plan.since, joining.groups, entries)
        let form = joining.groups.count > 1 ? WireForm.namedInbox : .inbox
        return webSocket(entrant, form, joining.groups) { session, connection in
            InboxDialect(
                shard: shard, session: session, connection: connection, input: input(of: entrant, session),
                user: entrant.slot.user, joining: joining, starts: starts, unreadable: unreadable)
        }
    }

    private func webSocket(
        _ entrant: Entrant, _ form: WireForm, _ groups: [GroupName],
        _ dialect: (Session, WebSocketConnection) -> any ClientDialect
    ) -> WebSocketConnection {
        WebSocketConnection(
            id: id, slot: entrant.slot, socket: socket, shard: shard, form: form, groups: groups,
            window: entrant.plan.deflate?.window, dialect: dialect)
    }

    private func input(of entrant: Entrant, _ session: Session) -> ClientInput {
        ClientInput(
            route(of: entrant.plan).receive, origin: origin(of: entrant, in: session.groups), shard: shard,
            session: session)
    }

    /// What a worker is told of the client; nil: its route forwards nothing.
    private func origin(of entrant: Entrant, in groups: [GroupName]) -> ForwardedMessage? {
        guard case .forward = route(of: entrant.plan).receive else { return nil }
        return ForwardedMessage(
            channel: state.backplane.channelName(of: id), user: entrant.slot.user, groups: groups,
            path: entrant.plan.path, client: entrant.plan.client)
    }

    /// Where a centrifuge client's rpc calls go.
    func remote(of plan: HandshakePlan) -> CentrifugeEntry.Remote? {
        guard case .forward(let policy) = route(of: plan).receive else { return nil }
        return CentrifugeEntry.Remote(policy: policy, path: plan.path, client: plan.client)
    }

    /// Upgrades a centrifuge client that is not authenticated yet: its first command carries the token.
    func becomeUnidentified(_ entrant: Entrant, _ login: CentrifugeLogin) {
        let (route, values) = (route(of: entrant.plan), entrant.plan.values)
        let most = settings.configuration.maximumGroups
        let access = { (identity: Identity) -> CentrifugeAccess? in
            guard let (values, groups) = try? route.groups(values, identity), groups.count <= most else { return nil }
            return route.access(values, groups, identity)
        }
        let entry = CentrifugeEntry(
            access: nil, login: login, accessOf: access, remote: remote(of: entrant.plan))
        becomeCentrifuge(entrant, entry)
    }

    func becomeCentrifuge(_ entrant: Entrant, _ entry: CentrifugeEntry) {
        guard case .webSocket(let key) = entrant.plan.transport else { return }
        let connection = webSocket(entrant, .centrifuge, []) { session, connection in
            CentrifugeDialect(id: id, shard: shard, session: session, entry: entry, connection: connection)
        }
        hand(over: entrant, to: connection, saying: switching(key, entrant.plan))
    }

    private func switching(_ key: String, _ plan: HandshakePlan) -> ByteBuffer {
        SwitchingAnswer.webSocket(key: key, deflate: plan.deflate, subprotocol: plan.subprotocol)
    }

    /// Writes the response and hands socket and slot over to the client.
    private func hand(over entrant: Entrant, to client: some ConnectedClient, saying answer: ByteBuffer) {
        stage = .upgraded
        shard.unschedule(self)
        socket.write(answer)
        socket.owner = client
        client.begin()
        socket.flush()
        if entrant.early.readableBytes > 0 { client.received(entrant.early) }
    }
}
