import Broker
import Foundation
import Logging
import NIOCore
import NIOHTTP1
import Sockets

/// Turns a request head into a client or a refusal: plan, login, joins, then 101 (or 200 for an event stream).
///
/// One request per connection: a refused client gets one response, then the connection is closed. The head is limited in
/// bytes, the whole handshake in time. Lives on its shard's loop.
///
/// ```
///   reading ─head─▶ plan ─▶ loggingIn ─▶ joining ─▶ upgraded: the socket has a new owner
///      └─────────────┴──────────┴───────────┴─────▶ over: a refusal, then the end
/// ```
final class Handshake: StreamSocketOwner {
    /// A request that holds a connection slot but is not a client yet.
    struct Entrant {
        let plan: HandshakePlan
        var slot: ConnectionSlot
        /// Bytes received after the request's head; passed to the client once the upgrade is done.
        var early: ByteBuffer
    }

    enum Stage {
        case reading(RequestHeadParser)
        case loggingIn(Entrant)
        case joining(Entrant, Joining)
        case commanding(Entrant, PostedCommand)
        case upgraded
        case over
    }

    let shard: Shard
    let socket: any StreamSocket
    var stage = Stage.reading(RequestHeadParser())
    /// The Origin of the page that may read the response; nil: none.
    var page: String?
    let id = ConnectionID.random()
    private let began = NIODeadline.now()
    /// The client's address from the PROXY protocol; otherwise the socket's peer.
    private let peer: PeerAddress
    var wheelPlace: WheelPlace?

    var state: GatewayState { shard.state }
    /// Those of the handshake's beginning: a plan refers to their routes.
    let settings: GatewaySettings

    /// Seconds for all logins and joins together.
    private static let loginSeconds = 10
    /// Seconds the peer gets to read the error response before the connection is closed.
    private static let farewellSeconds = 2

    /// Takes over the socket and starts reading.
    ///
    /// - Parameters:
    ///   - source: the client's address, as reported by a proxy in front.
    ///   - seconds: what is left of `handshakeSeconds`.
    init(_ socket: any StreamSocket, shard: Shard, source: PeerAddress? = nil, seconds: Int? = nil) {
        self.shard = shard
        settings = shard.settings
        self.socket = socket
        peer = source ?? socket.peer
        socket.owner = self
        shard.schedule(self, in: seconds ?? settings.configuration.handshakeSeconds)
    }

    // MARK: StreamSocketOwner

    func received(_ bytes: ByteBuffer) {
        let before = stage
        // Take the buffers out of the stage: appending to a shared buffer would copy it for each piece that arrives.
        stage = .over
        switch consume before {
        case .reading(var parser):
            let outcome = parser.feed(bytes)
            stage = .reading(parser)
            read(outcome, parser.count)
        case .loggingIn(var entrant):
            entrant.early.writeImmutableBuffer(bytes)
            stage = .loggingIn(entrant)
            checkEarly(entrant)
        case .joining(var entrant, let joining):
            entrant.early.writeImmutableBuffer(bytes)
            stage = .joining(entrant, joining)
            checkEarly(entrant)
        case .commanding(var entrant, let posted):
            if !posted.isAsked { entrant.early.writeImmutableBuffer(bytes) }
            stage = .commanding(entrant, posted)
            performCommand()
        case .upgraded: stage = .upgraded
        case .over: break
        }
    }

    /// Frames that arrive before the response are kept in memory, up to one message's worth.
    private func checkEarly(_ entrant: Entrant) {
        guard entrant.early.readableBytes > settings.configuration.maximumMessageBytes else { return }
        refuse(.bad("wait for the answer before you send"))
    }

    private func read(_ outcome: RequestHeadParser.Outcome, _ count: Int) {
        let limit = settings.configuration.maximumHeaderBytes
        guard count <= limit else {
            let message = "the request's head has more than \(limit) bytes"
            return refuse(Refusal(status: .requestHeaderFieldsTooLarge, message: message, reason: .headers))
        }
        switch outcome {
        case .needsMore: break
        case .malformed: refuse(.bad("the request is not valid HTTP/1.1"))
        case .head(let head, let rest): begin(head, rest)
        }
    }

    func becameWritable() {}

    func ended() {
        shard.unschedule(self)
        undo()
    }

    /// Releases whatever the handshake has acquired.
    private func undo() {
        switch stage {
        case .loggingIn(let entrant), .commanding(let entrant, _): state.admission.leave(entrant.slot)
        case .joining(let entrant, let joining):
            joining.cancel()
            state.admission.leave(entrant.slot)
        case .upgraded: return
        case .reading, .over: break
        }
        stage = .over
    }

    // MARK: The request

    private func begin(_ head: RequestHead, _ rest: ByteBuffer) {
        let origin = RequestOrigin(head, settings.configuration.allowedHosts)
        page = origin.page
        do throws(Refusal) {
            let decision = try HandshakePlan.decide(
                head, origin, from: peer, settings.configuration, settings.router, isDraining: state.isDraining,
                pageHeaders: settings.pageHeaders)
            switch decision {
            case .answer(let answer): respond(answer)
            case .endOfStream(let answer):
                state.metrics.refused(.ended)
                respond(answer)
            case .handshake(let plan):
                let slot = try state.admission.enter(id, from: ClientNetwork(plan.client))
                shard.schedule(self, in: Self.loginSeconds)
                let entrant = Entrant(plan: plan, slot: slot, early: rest)
                stage = .loggingIn(entrant)
                if route(of: plan).authentication.isEmpty { try join(entrant, as: nil) } else { logIn(head, plan) }
            }
        } catch {
            refuse(error)
        }
    }

    func route(of plan: HandshakePlan) -> Route { settings.configuration.routes[plan.route] }

    // MARK: The login

    private func logIn(_ head: RequestHead, _ plan: HandshakePlan) {
        let request = LoginRequest(
            uri: head.target, headers: head.headers, peer: socket.peer.socketAddress,
            client: settings.configuration.trustedProxies.isEmpty ? nil : plan.client.socketAddress)
        let chain = LoginChain(logins: route(of: plan).authentication.compactMap { settings.authenticators[$0] })
        let bound = NIOLoopBound(self, eventLoop: shard.eventLoop)
        let eventLoop = shard.eventLoop
        Task { [chain, request, bound, eventLoop] in
            let result = await chain.identify { login throws(LoginFailure) in try await login.identify(request) }
            eventLoop.execute { bound.value.loggedIn(result) }
        }
    }

    private func loggedIn(_ result: Result<Identity, LoginFailure>) {
        // Meanwhile the connection may have ended, or the time run out.
        guard case .loggingIn(var entrant) = stage else { return }
        let path = route(of: entrant.plan).path.text
        do throws(Refusal) {
            switch result {
            case .success(let identity):
                try state.admission.identify(&entrant.slot, as: identity.user)
                stage = .loggingIn(entrant)
                entrant.slot.expiry = try LoginLifetime.end(of: identity)
                stage = .loggingIn(entrant)
                try join(entrant, as: identity)
            case .failure(.refused(let why)), .failure(.expired(let why)):
                if let login = connectLogin(entrant.plan) { return becomeUnidentified(entrant, login) }
                state.logger.debug("login refused", metadata: ["path": "\(path)", "why": "\(why)"])
                throw Refusal(status: .forbidden, message: "not logged in", reason: .login)
            case .failure(.unavailable(let why)):
                state.logger.warning("login could not be asked for", metadata: ["path": "\(path)", "why": "\(why)"])
                throw .later("the login cannot be checked now", .loginUnavailable, seconds: 2)
            }
        } catch {
            refuse(error)
        }
    }

    /// A centrifuge client may instead send its token in its connect command.
    func connectLogin(_ plan: HandshakePlan) -> CentrifugeLogin? {
        let route = route(of: plan)
        guard route.clientProtocol == .centrifuge, case .webSocket = plan.transport else { return nil }
        return CentrifugeLogin(route.authentication.compactMap { settings.authenticators[$0] })
    }

    // MARK: The joins

    private func join(_ entrant: Entrant, as identity: Identity?) throws(Refusal) {
        let plan = entrant.plan, route = route(of: plan)
        let resolved: (values: [String: String], groups: [GroupName])
        do throws(NameError) {
            resolved = try route.groups(plan.values, identity)
        } catch {
            throw Refusal(status: .badRequest, message: "\(error)", reason: .groupName)
        }
        guard resolved.groups.count <= settings.configuration.maximumGroups else {
            state.logger.warning(
                "a login names more groups than gateway.max_groups", metadata: ["path": "\(route.path.text)"])
            throw Refusal(
                status: .forbidden, message: "the login names more groups than a connection may join",
                reason: .groups)
        }
        guard !isRevoked(entrant) else { throw Self.revoked }
        if route.clientProtocol == .centrifuge, case .webSocket = plan.transport {
            // It joins on its first command, which tells what it has seen already.
            let access = route.access(resolved.values, resolved.groups, identity)
            let entry = CentrifugeEntry(
                access: access, login: connectLogin(plan), accessOf: { _ in access }, remote: remote(of: plan))
            return becomeCentrifuge(entrant, entry)
        }
        if case .command(let bytes) = plan.transport {
            return takeCommand(entrant, bytes, of: identity?.user, in: resolved.groups)
        }
        let joining = Joining(resolved.groups, of: id, on: shard)
        stage = .joining(entrant, joining)
        let member = Member(connection: id, user: identity?.user, info: identity?.info)
        joining.run({ state.backplane.groupAdd(member, to: $0, outlet: shard.index) }) { self.joined($0) }
    }

    private func joined(_ result: Result<[GroupEntry], any Error>) {
        guard case .joining(let entrant, let joining) = stage else { return }
        switch result {
        case .success(let entries):
            guard !isRevoked(entrant) else { return refuse(Self.revoked) }
            become(entrant, joining, as: entries)
        case .failure(let error): refuse(Self.refusal(for: error))
        }
    }

    /// Whether the user's connections were ended after this handshake began, so that its login may be outdated.
    private func isRevoked(_ entrant: Entrant) -> Bool {
        entrant.slot.user.map { shard.wasRevoked($0, since: began) } ?? false
    }

    private static let revoked = Refusal(
        status: .forbidden, message: "this user's connections were ended just now", reason: .login)

    private static func refusal(for error: any Error) -> Refusal {
        if let error = error as? BackplaneError, error.code == .refused {
            return Refusal(status: .internalServerError, message: "the group cannot be joined", reason: .redis)
        }
        return .later("the broker's store cannot be reached now", .redis, seconds: 2)
    }

    // MARK: Refusals

    func refuse(_ refusal: Refusal) {
        switch stage {
        case .over, .upgraded: return
        case .reading, .loggingIn, .joining, .commanding: break
        }
        state.metrics.refused(refusal.reason)
        respond(HTTPAnswer(refusal, page: page).bytes)
    }

    func respond(_ answer: ByteBuffer) {
        undo()
        socket.write(answer)
        socket.flush()
        socket.finish()
        shard.schedule(self, in: Self.farewellSeconds)
    }
}

extension Handshake: DeadlineOwner {
    func tick() -> Int? {
        switch stage {
        case .over: socket.close()  // The peer has had time to read the refusal.
        case .loggingIn, .joining: refuse(.later("the login takes too long", .loginUnavailable, seconds: 2))
        case .commanding(_, let posted) where posted.isAsked:
            refuse(.later("the broker's store does not answer now", .redis, seconds: 2))
        case .reading, .commanding:
            refuse(Refusal(status: .requestTimeout, message: "the handshake took too long", reason: .timeout))
        case .upgraded: break
        }
        return nil
    }
}

@available(*, unavailable) extension Handshake: Sendable {}
