import Broker
import NIOCore
import Sockets

/// What an accepted handshake becomes.
extension Handshake {
    func become(_ entrant: Entrant, _ joining: Joining, as entries: [GroupEntry]) {
        let plan = entrant.plan
        switch plan.transport {
        case .webSocket(let key):
            let receive = route(of: plan).receive, origin = origin(of: entrant, in: joining.groups)
            let starts = entries.map {
                Session.Start(position: $0.position, isResumption: false, tracking: $0.tracking)
            }
            let connection = WebSocketConnection(
                id: id, slot: entrant.slot, socket: socket, shard: shard, form: .plain, groups: joining.groups,
                window: plan.deflate?.window
            ) { session, connection in
                PlainDialect(
                    receive, origin: origin, shard: shard, session: session, connection: connection,
                    joining: joining, starts: starts)
            }
            hand(over: entrant, to: connection, saying: switching(key, plan))
        case .eventStream(let cursor):
            let (starts, unreadable) = EventCursor.starts(cursor, joining.groups, entries)
            let client = EventStreamClient(
                id: id, slot: entrant.slot, socket: socket, shard: shard, joining: joining, starts: starts,
                unreadable: unreadable)
            hand(over: entrant, to: client, saying: SwitchingAnswer.eventStream(page: page))
        }
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
        let connection = WebSocketConnection(
            id: id, slot: entrant.slot, socket: socket, shard: shard, form: .centrifuge, groups: [],
            window: entrant.plan.deflate?.window
        ) { session, connection in
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
