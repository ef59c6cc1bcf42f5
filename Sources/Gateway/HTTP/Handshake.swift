import Broker
import Foundation
import Logging
import NIOCore
import NIOHTTP1
import Sockets

/// From a request's head to a client, or to a refusal: the checks, the login, the joins, then 101 (or 200 for a stream).
///
/// One request per connection; whoever is refused is answered once and the connection ends. The head is bounded in bytes,
/// the whole handshake in time. Lives on its shard's loop.
///
/// ```
///   reading ─head─▶ checks ─▶ login (async) ─▶ joins (backplane) ─▶ the answer: the socket has a new owner
///      └───────────────┴───────────┴────────────────┴─────────────▶ refusal, then the end
/// ```
final class Handshake: StreamSocketOwner {
    private enum Stage { case reading, working, upgraded, over }

    private let shard: Shard
    private let socket: any StreamSocket
    private var stage = Stage.reading
    private var parser = RequestHeadParser()
    /// What came behind the head, for the client that it becomes.
    private var rest = ByteBuffer()
    /// nil: it has no place.
    private var ticket: Ticket?
    /// nil: the WebSocket goes without compression.
    private var deflate: DeflateAgreement?
    /// nil: the client is answered none.
    private var subprotocol: String?
    /// The Origin of the page that may read the answer; nil: none.
    private var page: String?
    /// The joins, to be undone if the handshake fails.
    private var joining: Joining?
    private let id = ConnectionID.random()
    private let began = NIODeadline.now()
    /// The client, as far as trusted proxies have told; else the other end of the socket.
    private(set) var clientAddress: PeerAddress
    var wheelPlace: WheelPlace?

    private var state: GatewayState { shard.state }

    /// For the logins, however many there are, and the joins.
    private static let loginSeconds = 10
    /// For a refusal to be read.
    private static let farewellSeconds = 2

    /// Begins to read: the socket's owner from here on.
    ///
    /// - Parameters:
    ///   - source: who a proxy in front said (PROXY protocol) that it speaks for.
    ///   - seconds: what is left of `handshakeSeconds`.
    init(_ socket: any StreamSocket, shard: Shard, source: PeerAddress? = nil, seconds: Int? = nil) {
        self.shard = shard
        self.socket = socket
        clientAddress = source ?? socket.peer
        socket.owner = self
        shard.schedule(self, in: seconds ?? state.configuration.handshakeSeconds)
    }

    // MARK: The socket's word

    func received(_ bytes: ByteBuffer) {
        switch stage {
        case .reading: read(bytes)
        case .working:
            // Frames that come before the answer wait in memory: one message's worth of them.
            rest.writeImmutableBuffer(bytes)
            if rest.readableBytes > state.configuration.maximumMessageBytes {
                refuse(HandshakeGuard.bad("wait for the answer before you send"))
            }
        case .upgraded, .over: break
        }
    }

    private func read(_ bytes: ByteBuffer) {
        do throws(Refusal) {
            let outcome = parser.feed(bytes)
            let limit = state.configuration.maximumHeaderBytes
            guard parser.count <= limit else {
                let message = "the request's head has more than \(limit) bytes"
                throw Refusal(status: .requestHeaderFieldsTooLarge, message: message, reason: "headers")
            }
            switch outcome {
            case .needsMore: break
            case .malformed: throw HandshakeGuard.bad("the request is no HTTP/1.1")
            case .head(let head, let rest):
                stage = .working
                parser = RequestHeadParser()
                self.rest = rest
                try begin(head)
            }
        } catch {
            refuse(error)
        }
    }

    func becameWritable() {}

    func ended() {
        shard.unschedule(self)
        guard stage != .upgraded else { return }
        stage = .over
        undo()
    }

    /// Gives back what the handshake had taken.
    private func undo() {
        joining?.cancel()
        joining = nil
        if let ticket { state.admission.leave(ticket) }
        ticket = nil
    }

    // MARK: Steps

    private func begin(_ head: RequestHead) throws(Refusal) {
        let origin = RequestOrigin(head, state.configuration.allowedHosts)
        page = origin.page
        try HandshakeGuard.checkRequest(head)
        let proxies = state.configuration.trustedProxies
        if !proxies.isEmpty {
            let list = head.values(of: "x-forwarded-for")
            clientAddress = proxies.client(nearest: clientAddress, forwardedFor: list)
        }
        let path = head.path, match = state.router.match(path)
        guard head.isGET else {
            guard let page else { throw RequestOrigin.refusal }
            return respond(CrossOrigin.preflight(page: page, names: state.pageHeaders(ofRoute: match?.index)))
        }
        guard let (index, values) = match else {
            if state.configuration.demoPage, path == "/" {
                return respond(DemoPage.response(command: state.configuration.demoCommand))
            }
            throw Refusal(status: .notFound, message: "nothing is served at this path", reason: "not_found")
        }
        let route = state.configuration.routes[index]
        let wish = try ClientWish(head)
        guard origin.admits(wish) else { throw RequestOrigin.refusal }
        if case .eventStream(EventCursor.end?) = wish {
            state.metrics.refused("ended")
            return respond(SwitchingAnswer.endOfStream(page: page))
        }
        if case .webSocket = wish {
            deflate = try DeflateAgreement.negotiate(
                head.values(of: "sec-websocket-extensions"), state.configuration.compression)
            if head.has("sec-websocket-protocol") {
                subprotocol = SubprotocolOffer(head.values(of: "sec-websocket-protocol")).choice(of: route)
            }
        }
        guard !state.isDraining else {
            throw Self.comeBack("this gateway is shutting down; connect again", "draining", 1)
        }
        ticket = try state.admission.enter(id, from: ClientNetwork(clientAddress))
        shard.schedule(self, in: Self.loginSeconds)
        if route.authentication.isEmpty {
            try join(route, values, identity: nil, wish)
        } else {
            logIn(head, route, values, wish)
        }
    }

    private func logIn(
        _ head: RequestHead, _ route: Route, _ values: [String: String], _ wish: ClientWish
    ) {
        let request = LoginRequest(
            uri: head.target, headers: head.headers, peer: socket.peer.socketAddress,
            client: state.configuration.trustedProxies.isEmpty ? nil : clientAddress.socketAddress)
        let chain = LoginChain(logins: route.authentication.compactMap { state.authenticators[$0] })
        let bound = NIOLoopBound(self, eventLoop: shard.eventLoop)
        let eventLoop = shard.eventLoop
        Task { [chain, request, bound, eventLoop] in
            let result = await chain.identify { login throws(LoginFailure) in try await login.identify(request) }
            eventLoop.execute { bound.value.loggedIn(result, route, values, wish) }
        }
    }

    private func loggedIn(
        _ result: Result<Identity, LoginFailure>, _ route: Route, _ values: [String: String],
        _ wish: ClientWish
    ) {
        guard stage == .working else { return }
        do throws(Refusal) {
            switch result {
            case .success(let identity):
                try state.admission.identify(&ticket!, as: identity.user)
                ticket!.expiry = try Self.expiry(of: identity)
                try join(route, values, identity: identity, wish)
            case .failure(.refused(let why)), .failure(.expired(let why)):
                if let login = Self.connectLogin(route, wish, state) {
                    return becomeStranger(login, route, values, wish)
                }
                state.logger.debug("login refused", metadata: ["path": "\(route.path.text)", "why": "\(why)"])
                throw Refusal(status: .forbidden, message: "not logged in", reason: "login")
            case .failure(.unavailable(let why)):
                state.logger.warning(
                    "login could not be asked for", metadata: ["path": "\(route.path.text)", "why": "\(why)"])
                throw Self.comeBack("the login cannot be checked now", "login_unavailable", 2)
            }
        } catch {
            refuse(error)
        }
    }

    /// A centrifuge client may bring its token with its first command instead.
    private static func connectLogin(_ route: Route, _ wish: ClientWish, _ state: GatewayState) -> CentrifugeLogin? {
        guard route.clientProtocol == .centrifuge, case .webSocket = wish else { return nil }
        return CentrifugeLogin(route.authentication.compactMap { state.authenticators[$0] })
    }

    /// A client that nobody knows yet.
    private func becomeStranger(
        _ login: CentrifugeLogin, _ route: Route, _ values: [String: String], _ wish: ClientWish
    ) {
        guard case .webSocket(let key) = wish else { return }
        let most = state.configuration.maximumGroups
        let entry = CentrifugeEntry(access: nil, login: login) { identity in
            guard let (values, groups) = try? route.groups(values, identity), groups.count <= most else { return nil }
            return route.access(values, groups, identity)
        }
        become(
            centrifuge(entry),
            saying: SwitchingAnswer.webSocket(key: key, deflate: deflate, subprotocol: subprotocol))
    }

    /// On the clock that nobody sets.
    static func expiry(of identity: Identity) throws(Refusal) -> NIODeadline? {
        guard let end = identity.expiresAt else { return nil }
        let left = Double(end) - Date().timeIntervalSince1970
        guard left > 0 else { throw Refusal(status: .forbidden, message: "the login has expired", reason: "login") }
        // Further ahead than a year is never.
        return left < 31_536_000 ? .now() + .milliseconds(Int64(left * 1000)) : nil
    }

    private func join(
        _ route: Route, _ values: [String: String], identity: Identity?, _ wish: ClientWish
    ) throws(Refusal) {
        let resolved: (values: [String: String], groups: [GroupName])
        do throws(NameError) {
            resolved = try route.groups(values, identity)
        } catch {
            throw Refusal(status: .badRequest, message: "\(error)", reason: "group_name")
        }
        let groups = resolved.groups
        guard groups.count <= state.configuration.maximumGroups else {
            state.logger.warning(
                "a login names more groups than gateway.max_groups", metadata: ["path": "\(route.path.text)"])
            throw Refusal(
                status: .forbidden, message: "the login names more groups than a connection may join",
                reason: "groups")
        }
        guard !isRevoked else { throw Self.revoked }
        if route.clientProtocol == .centrifuge, case .webSocket(let key) = wish {
            // It joins when it sends its first command, which says what it has seen already.
            let access = route.access(resolved.values, groups, identity)
            let entry = CentrifugeEntry(access: access, login: Self.connectLogin(route, wish, state)) { _ in access }
            return become(
                centrifuge(entry),
                saying: SwitchingAnswer.webSocket(key: key, deflate: deflate, subprotocol: subprotocol))
        }
        let member = Member(connection: id, user: identity?.user, info: identity?.info)
        let joining = Joining(groups, of: id, on: shard)
        self.joining = joining
        joining.run({ state.backplane.groupAdd(member, to: $0, outlet: shard.index) }) { result in
            switch result {
            case .success(let positions):
                guard !self.isRevoked else { return self.refuse(Self.revoked) }
                self.succeed(wish, route, joining, at: positions)
            case .failure(let error): self.refuse(Self.refusal(for: error))
            }
        }
    }

    /// The user's connections were ended after this handshake began: what the login said may be over.
    private var isRevoked: Bool { ticket?.user.map { shard.wasRevoked($0, since: began) } ?? false }

    private static let revoked = Refusal(
        status: .forbidden, message: "this user's connections were ended just now", reason: "login")

    private static func refusal(for error: any Error) -> Refusal {
        if let error = error as? BackplaneError, error.code == .refused {
            return Refusal(status: .internalServerError, message: "the group cannot be joined", reason: "redis")
        }
        return comeBack("the broker's store cannot be reached now", "redis", 2)
    }

    private static func comeBack(_ message: String, _ reason: String, _ seconds: Int) -> Refusal {
        Refusal(
            status: .serviceUnavailable, message: message, headers: [("Retry-After", String(seconds))], reason: reason)
    }

    // MARK: Answers

    private func succeed(_ wish: ClientWish, _ route: Route, _ joining: Joining, at positions: [Position]) {
        switch wish {
        case .webSocket(let key):
            let starts = positions.map { Session.Start(position: $0, isResumption: false) }
            become(
                WebSocketConnection(
                    id: id, ticket: ticket!, socket: socket, shard: shard, form: .plain, groups: joining.groups,
                    window: deflate?.window
                ) { session, connection in
                    PlainDialect(
                        route.receive, shard: shard, session: session, connection: connection, joining: joining,
                        starts: starts)
                },
                saying: SwitchingAnswer.webSocket(key: key, deflate: deflate, subprotocol: subprotocol))
        case .eventStream(let cursor):
            let (starts, unreadable) = EventCursor.starts(cursor, joining.groups, positions)
            become(
                EventStreamClient(
                    id: id, ticket: ticket!, socket: socket, shard: shard, joining: joining, starts: starts,
                    unreadable: unreadable),
                saying: SwitchingAnswer.eventStream(page: page))
        }
    }

    /// A client of the centrifuge protocol, which joins by its commands.
    private func centrifuge(_ entry: CentrifugeEntry) -> WebSocketConnection {
        WebSocketConnection(
            id: id, ticket: ticket!, socket: socket, shard: shard, form: .centrifuge, groups: [],
            window: deflate?.window
        ) { session, connection in
            CentrifugeDialect(id: id, shard: shard, session: session, entry: entry, connection: connection)
        }
    }

    /// The answer is out, and the socket has a new owner.
    private func become(_ client: some ConnectedClient, saying answer: ByteBuffer) {
        stage = .upgraded
        joining = nil
        // The client's from here on.
        ticket = nil
        shard.unschedule(self)
        socket.write(answer)
        socket.owner = client
        client.begin()
        socket.flush()
        if rest.readableBytes > 0 { client.received(rest) }
        rest = ByteBuffer()
    }

    private func refuse(_ refusal: Refusal) {
        guard stage != .over, stage != .upgraded else { return }
        state.metrics.refused(refusal.reason)
        respond(HTTPAnswer(refusal, page: page))
    }

    private func respond(_ answer: HTTPAnswer) { respond(answer.bytes) }

    private func respond(_ answer: ByteBuffer) {
        stage = .over
        undo()
        socket.write(answer)
        socket.flush()
        socket.finish()
        shard.schedule(self, in: Self.farewellSeconds)
    }
}

extension Handshake: Ticking {
    func tick() -> Int? {
        switch stage {
        case .over: socket.close()  // The refusal has had its time to be read.
        case .working: refuse(Self.comeBack("the login takes too long", "login_unavailable", 2))
        case .reading, .upgraded:
            refuse(Refusal(status: .requestTimeout, message: "the handshake took too long", reason: "timeout"))
        }
        return nil
    }
}

@available(*, unavailable) extension Handshake: Sendable {}
