import Broker
import Logging
import NIOCore
import NIOHTTP1

/// From a request's head to a WebSocket, or to a refusal: the checks, the login, the joins, then 101.
///
/// One request per connection; whoever is refused is answered once and the connection ends. Lives on its shard's loop.
///
/// ```
///   reading ─head and end─▶ checks ─▶ login (async) ─▶ joins (backplane) ─▶ 101: this handler and HTTP leave
///      └───────────────────────┴───────────┴────────────────┴──────────────▶ refusal, then the end
/// ```
final class HandshakeHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = ByteBuffer

    private enum Stage { case reading, working, upgraded, over }

    private let shard: Shard
    private var stage = Stage.reading
    private var head: HTTPRequestHead?
    private var context: ChannelHandlerContext?
    private var deadline: HandshakeDeadline?
    private var decoder: ByteToMessageHandler<HTTPRequestDecoder>?
    private var isAdmitted = false
    /// Groups that have been joined or are being joined, to be left again if the handshake fails.
    private var joining: [GroupName] = []
    private let id = ConnectionID.random()

    private var state: GatewayState { shard.state }

    init(shard: Shard) { self.shard = shard }

    /// Puts the handlers of a handshake into a fresh channel.
    static func install(in channel: any Channel, shard: Shard) throws {
        let handshake = HandshakeHandler(shard: shard)
        let deadline = HandshakeDeadline(shard: shard) { refusal in handshake.refuse(refusal) }
        let decoder = ByteToMessageHandler(HTTPRequestDecoder(leftOverBytesStrategy: .forwardBytes))
        handshake.deadline = deadline
        handshake.decoder = decoder
        let pipeline = channel.pipeline.syncOperations
        try pipeline.addHandler(deadline)
        try pipeline.addHandler(decoder)
        try pipeline.addHandler(handshake)
    }

    // MARK: Channel events

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func handlerRemoved(context: ChannelHandlerContext) { ended() }

    func channelInactive(context: ChannelHandlerContext) { ended() }

    private func ended() {
        context = nil
        guard stage != .upgraded else { return }
        stage = .over
        undo()
        deadline = nil
        decoder = nil
    }

    /// Gives back what the handshake had taken.
    private func undo() {
        for group in joining {
            state.backplane.groupDiscard(id, from: group, outlet: shard.index)
            let members = shard.members(of: group)
            members.joining -= 1
            shard.tidy(members)
        }
        joining = []
        if isAdmitted { state.leave() }
        isAdmitted = false
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard stage == .reading else { return }
        switch unwrapInboundIn(data) {
        case .head(let head): self.head = head
        case .body: break
        case .end:
            stage = .working
            deadline?.headArrived()
            do throws(Refusal) {
                try begin(head!)
            } catch {
                refuse(error)
            }
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        switch error {
        case HTTPParserError.headerOverflow:
            refuse(
                Refusal(
                    status: .requestHeaderFieldsTooLarge, message: "the request's head is too large", reason: "headers")
            )
        case is HTTPParserError: refuse(HandshakeGuard.bad("the request is no HTTP/1.1"))
        default: context.close(promise: nil)
        }
    }

    // MARK: Steps

    private func begin(_ head: HTTPRequestHead) throws(Refusal) {
        try HandshakeGuard.checkRequest(head)
        let path = head.uri.prefix { $0 != "?" }
        guard let (index, values) = state.router.match(path) else {
            if state.configuration.demoPage, path == "/" { return respond(DemoPage.response) }
            throw Refusal(status: .notFound, message: "nothing is served at this path", reason: "not_found")
        }
        let route = state.configuration.routes[index]
        let wish = try ClientWish(head)
        try checkOrigin(head, wish)
        guard !state.isDraining else {
            throw Self.comeBack("this gateway is shutting down; connect again", "draining", 1)
        }
        guard state.admit() else { throw Self.comeBack("the gateway is full", "full", 5) }
        isAdmitted = true
        if route.authentication.isEmpty {
            try join(route, values, identity: nil, wish)
        } else {
            logIn(head, route, values, wish)
        }
    }

    /// A page's own EventSource sends no Origin, and another site's is kept from reading by the browser: so a stream, which
    /// changes nothing, may come without one.
    private func checkOrigin(_ head: HTTPRequestHead, _ wish: ClientWish) throws(Refusal) {
        let origin = head.headers["origin"].last
        if case .eventStream = wish, origin == nil { return }
        guard state.configuration.allowedHosts.allows(origin: origin, host: head.headers["host"].first ?? "") else {
            throw Refusal(status: .forbidden, message: "this Origin may not connect", reason: "origin")
        }
    }

    private func logIn(
        _ head: HTTPRequestHead, _ route: Route, _ values: [String: String], _ wish: ClientWish
    ) {
        let request = LoginRequest(uri: head.uri, headers: head.headers, peer: context?.channel.remoteAddress)
        let chain = LoginChain(authenticators: route.authentication.compactMap { state.authenticators[$0] })
        let bound = NIOLoopBound(self, eventLoop: shard.eventLoop)
        let eventLoop = shard.eventLoop
        Task { [chain, request, bound, eventLoop] in
            let result = await chain.identify(request)
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
            case .success(let identity): try join(route, values, identity: identity, wish)
            case .failure(.refused(let why)):
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

    private func join(
        _ route: Route, _ values: [String: String], identity: Identity?, _ wish: ClientWish
    ) throws(Refusal) {
        var values = values
        values["user"] = identity?.user
        for (name, claim) in identity?.claims ?? [:] { values["claims.\(name)"] = claim }
        var groups: [GroupName] = []
        do throws(NameError) {
            for template in route.groups {
                let group = try template.resolve(values)
                if !groups.contains(group) { groups.append(group) }
            }
        } catch {
            throw Refusal(status: .badRequest, message: "\(error)", reason: "group_name")
        }
        for group in identity?.groups ?? [] where !groups.contains(group) { groups.append(group) }
        if route.clientProtocol == .centrifuge, case .webSocket(let key) = wish {
            // It joins when it sends its first command, which says what it has seen already.
            let access = CentrifugeAccess(
                serverGroups: groups, mayJoin: route.mayJoin.compactMap { $0.pattern(values) },
                mayPublish: route.receive == .groupSend, user: identity?.user, info: identity?.info)
            return become(
                WebSocketHandler(id: id, shard: shard, route: route, access: access),
                saying: SwitchingAnswer.webSocket(key: key))
        }
        joining = groups
        // From here on the loop keeps count of what comes to the groups: nothing between the join and the first write
        // goes unnoticed.
        for group in groups { shard.members(of: group).joining += 1 }
        let member = Member(connection: id, user: identity?.user, info: identity?.info)
        let joins = groups.map {
            state.backplane.groupAdd(member, to: $0, outlet: shard.index).hop(to: shard.eventLoop)
        }
        EventLoopFuture.whenAllSucceed(joins, on: shard.eventLoop).assumeIsolated().whenComplete { result in
            guard self.stage == .working else { return }
            switch result {
            case .success(let positions): self.succeed(wish, route, groups, at: positions)
            case .failure(let error): self.refuse(Self.refusal(for: error))
            }
        }
    }

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

    private func succeed(_ wish: ClientWish, _ route: Route, _ groups: [GroupName], at positions: [Position]) {
        switch wish {
        case .webSocket(let key):
            let starts = positions.map { Session.Start(position: $0, isResumption: false) }
            become(
                WebSocketHandler(id: id, shard: shard, route: route, groups: groups, starts: starts),
                saying: SwitchingAnswer.webSocket(key: key))
        case .eventStream(let cursor, let origin):
            let (starts, unreadable) = Self.starts(cursor, groups, positions)
            become(
                EventStreamHandler(id: id, shard: shard, groups: groups, starts: starts, unreadable: unreadable),
                saying: SwitchingAnswer.eventStream(origin: origin))
        }
    }

    /// Where a stream begins: at the client's cursor, or where the groups are now.
    private static func starts(
        _ cursor: String?, _ groups: [GroupName], _ positions: [Position]
    ) -> ([Session.Start], unreadable: [GroupName]) {
        let now = positions.map { Session.Start(position: $0, isResumption: false) }
        guard let cursor else { return (now, []) }
        guard let known = EventCursor.parse(cursor, groups: groups.count) else { return (now, groups) }
        let starts = zip(known, now).map { known, now in
            known.map { Session.Start(position: $0, isResumption: true) } ?? now
        }
        return (starts, [])
    }

    /// The HTTP handlers make room for the client's own one.
    private func become(_ handler: some ChannelInboundHandler, saying answer: ByteBuffer) {
        guard let context else { return }
        stage = .upgraded
        joining = []
        context.writeAndFlush(wrapOutboundOut(answer), promise: nil)
        let pipeline = context.pipeline.syncOperations
        let (deadline, decoder) = (deadline, decoder)
        do {
            try pipeline.addHandler(handler)
        } catch {
            return context.close(promise: nil)  // the channel ended in this very moment
        }
        pipeline.removeHandler(self, promise: nil)
        if let deadline { pipeline.removeHandler(deadline, promise: nil) }
        if let decoder {
            // Bytes that came behind the request are frames: the parser forwards them as it leaves, but does not say that
            // they are all, and who is reading flushes only then.
            let removed = shard.eventLoop.makePromise(of: Void.self)
            let channel = context.channel
            removed.futureResult.assumeIsolated().whenComplete { _ in channel.pipeline.fireChannelReadComplete() }
            pipeline.removeHandler(decoder, promise: removed)
        }
        self.deadline = nil
        self.decoder = nil
    }

    private func refuse(_ refusal: Refusal) {
        guard stage != .over, stage != .upgraded else { return }
        state.metrics.refused(refusal.reason)
        respond(HTTPAnswer(refusal))
    }

    private func respond(_ answer: HTTPAnswer) {
        stage = .over
        undo()
        guard let context else { return }
        context.writeAndFlush(wrapOutboundOut(answer.bytes), promise: nil)
        LingeringClose.close(context)
        deadline?.refused()
    }
}

@available(*, unavailable) extension HandshakeHandler: Sendable {}
