import Broker
import NIOCore
import NIOHTTP1
import Sockets

/// What a request is to become, as far as its head and the configuration say: everything before places, logins and joins.
///
/// A value without I/O.
struct HandshakePlan {
    /// The route's index in `routes:`.
    let route: Int
    /// Of the path's parameters.
    let values: [String: String]
    let transport: RequestedTransport
    /// nil: the WebSocket goes without compression.
    let deflate: DeflateAgreement?
    /// nil: the client is answered none.
    let subprotocol: String?
    /// The client, as far as trusted proxies have told; else the other end of the socket.
    let client: PeerAddress
    /// The Origin of the page that may read the answer; nil: none.
    let page: String?
}

/// What is done with a request.
enum RequestDecision {
    case handshake(HandshakePlan)
    /// An answer, after which the connection ends.
    case answer(ByteBuffer)
    /// A stream that its client was told not to ask for again (HTML, "server-sent events": 204).
    case endOfStream(ByteBuffer)
}

extension HandshakePlan {
    /// All checks of a request, in their order.
    ///
    /// - Parameters:
    ///   - origin: the request's.
    ///   - peer: the other end of the socket, or who a proxy in front said that it speaks for.
    ///   - pageHeaders: the headers of a route (nil: of none) that pages may send.
    /// - Throws: `Refusal`.
    static func decide(
        _ head: RequestHead, _ origin: RequestOrigin, from peer: PeerAddress, _ configuration: GatewayConfiguration,
        _ router: Router, isDraining: Bool, pageHeaders: (_ route: Int?) -> [String]
    ) throws(Refusal) -> RequestDecision {
        try HandshakeGuard.checkRequest(head)
        let match = router.match(head.path)
        guard head.isGET else {
            guard let page = origin.page else { throw RequestOrigin.refusal }
            return .answer(CrossOrigin.preflight(page: page, names: pageHeaders(match?.index)))
        }
        guard let match else { return try unrouted(head, configuration) }
        let transport = try RequestedTransport(head)
        guard origin.admits(transport) else { throw RequestOrigin.refusal }
        if case .eventStream(EventCursor.end?) = transport {
            return .endOfStream(SwitchingAnswer.endOfStream(page: origin.page))
        }
        var deflate: DeflateAgreement?, subprotocol: String?
        if case .webSocket = transport {
            deflate = try DeflateAgreement.negotiate(
                head.values(of: "sec-websocket-extensions"), configuration.compression)
            if head.has("sec-websocket-protocol") {
                let offer = SubprotocolOffer(head.values(of: "sec-websocket-protocol"))
                subprotocol = offer.choice(of: configuration.routes[match.index])
            }
        }
        guard !isDraining else {
            throw .later("this gateway is shutting down; connect again", .draining, seconds: 1)
        }
        return .handshake(
            HandshakePlan(
                route: match.index, values: match.values, transport: transport, deflate: deflate,
                subprotocol: subprotocol, client: client(head, peer, configuration), page: origin.page))
    }

    private static func unrouted(
        _ head: RequestHead, _ configuration: GatewayConfiguration
    ) throws(Refusal) -> RequestDecision {
        guard configuration.demoPage, head.path == "/" else {
            throw Refusal(status: .notFound, message: "nothing is served at this path", reason: .notFound)
        }
        return .answer(DemoPage.response(command: configuration.demoCommand).bytes)
    }

    private static func client(
        _ head: RequestHead, _ peer: PeerAddress, _ configuration: GatewayConfiguration
    ) -> PeerAddress {
        let proxies = configuration.trustedProxies
        if proxies.isEmpty { return peer }
        return proxies.client(nearest: peer, forwardedFor: head.values(of: "x-forwarded-for"))
    }
}
