import Broker
import Crypto
import Foundation
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
        for group in joining { state.backplane.groupDiscard(id, from: group, outlet: shard.index) }
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
        let upgrade = try HandshakeGuard.checkUpgrade(head)
        let host = head.headers["host"].first ?? ""
        guard state.configuration.allowedHosts.allows(origin: head.headers["origin"].last, host: host) else {
            throw Refusal(status: .forbidden, message: "this Origin may not connect", reason: "origin")
        }
        guard !state.isDraining else {
            throw Self.comeBack("this gateway is shutting down; connect again", "draining", 1)
        }
        guard state.admit() else { throw Self.comeBack("the gateway is full", "full", 5) }
        isAdmitted = true
        if route.authentication.isEmpty {
            try join(route, values, identity: nil, upgrade)
        } else {
            logIn(head, route, values, upgrade)
        }
    }

    private func logIn(
        _ head: HTTPRequestHead, _ route: Route, _ values: [String: String], _ upgrade: HandshakeGuard.Upgrade
    ) {
        let request = LoginRequest(uri: head.uri, headers: head.headers, peer: context?.channel.remoteAddress)
        let chain = LoginChain(authenticators: route.authentication.compactMap { state.authenticators[$0] })
        let bound = NIOLoopBound(self, eventLoop: shard.eventLoop)
        let eventLoop = shard.eventLoop
        Task { [chain, request, bound, eventLoop] in
            let result = await chain.identify(request)
            eventLoop.execute { bound.value.loggedIn(result, route, values, upgrade) }
        }
    }

    private func loggedIn(
        _ result: Result<Identity, LoginFailure>, _ route: Route, _ values: [String: String],
        _ upgrade: HandshakeGuard.Upgrade
    ) {
        guard stage == .working else { return }
        do throws(Refusal) {
            switch result {
            case .success(let identity): try join(route, values, identity: identity, upgrade)
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
        _ route: Route, _ values: [String: String], identity: Identity?, _ upgrade: HandshakeGuard.Upgrade
    ) throws(Refusal) {
        var values = values
        values["user"] = identity?.user
        var groups: [GroupName] = []
        do throws(NameError) {
            for template in route.groups { groups.append(try template.resolve(values)) }
        } catch {
            throw Refusal(status: .badRequest, message: "\(error)", reason: "group_name")
        }
        for group in identity?.groups ?? [] where !groups.contains(group) { groups.append(group) }
        joining = groups
        let member = Member(connection: id, user: identity?.user)
        let joins = groups.map {
            state.backplane.groupAdd(member, to: $0, outlet: shard.index).hop(to: shard.eventLoop)
        }
        EventLoopFuture.andAllSucceed(joins, on: shard.eventLoop).assumeIsolated().whenComplete { result in
            guard self.stage == .working else { return }
            switch result {
            case .success: self.upgrade(route, groups, upgrade)
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

    private func upgrade(_ route: Route, _ groups: [GroupName], _ upgrade: HandshakeGuard.Upgrade) {
        guard let context else { return }
        stage = .upgraded
        var answer = ByteBuffer()
        answer.writeString(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
                + Self.accept(upgrade.key) + "\r\n\r\n")
        context.writeAndFlush(wrapOutboundOut(answer), promise: nil)
        joining = []
        let session = WebSocketSession(id: id, shard: shard, route: route, groups: groups)
        let pipeline = context.pipeline.syncOperations
        let (deadline, decoder) = (deadline, decoder)
        do {
            try pipeline.addHandler(session)
        } catch {
            return context.close(promise: nil)  // the channel ended in this very moment
        }
        pipeline.removeHandler(self, promise: nil)
        if let deadline { pipeline.removeHandler(deadline, promise: nil) }
        // Bytes that came behind the request are frames: the parser forwards them to the session as it leaves.
        if let decoder { pipeline.removeHandler(decoder, promise: nil) }
        self.deadline = nil
        self.decoder = nil
    }

    /// RFC 6455 section 4.2.2, number 5.4.
    static func accept(_ key: String) -> String {
        let digest = Insecure.SHA1.hash(data: Array((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").utf8))
        return Data(digest).base64EncodedString()
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
    }
}

@available(*, unavailable) extension HandshakeHandler: Sendable {}
