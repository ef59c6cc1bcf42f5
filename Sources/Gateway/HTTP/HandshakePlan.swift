import Broker
import NIOCore
import NIOHTTP1
import Sockets

/// What a request is to become, as decided from its head and the configuration alone, before slots, logins and joins.
///
/// A value without I/O.
struct HandshakePlan {
    /// The route's index in `routes:`.
    let route: Int
    /// The request's path, without the query.
    let path: String
    /// Values of the path's parameters.
    let values: [String: String]
    let transport: RequestedTransport
    /// nil: the WebSocket is not compressed.
    let deflate: DeflateAgreement?
    /// The subprotocol to answer with; nil: none.
    let subprotocol: String?
    /// Where a `tocsin.v1` client goes on; nil: it starts now.
    let since: String?
    /// The client's address as reported by trusted proxies; otherwise the socket's peer.
    let client: PeerAddress
    /// The Origin of the page that may read the response; nil: none.
    let page: String?
}

/// How to handle a request.
enum RequestDecision {
    case handshake(HandshakePlan)
    /// Send a response, then close the connection.
    case answer(ByteBuffer)
    /// A stream whose client was told not to reconnect (WHATWG HTML, "Server-sent events": 204).
    case endOfStream(ByteBuffer)
}

extension HandshakePlan {
    /// Runs all checks of a request, in order.
    ///
    /// - Parameters:
    ///   - origin: the request's Origin.
    ///   - peer: the socket's peer, or the address that a proxy in front reported.
    ///   - pageHeaders: for a route (nil: no route), the custom headers that pages may send.
    /// - Throws: `Refusal`.
    static func decide(
        _ head: RequestHead, _ origin: RequestOrigin, from peer: PeerAddress, _ configuration: GatewayConfiguration,
        _ router: Router, isDraining: Bool, pageHeaders: (_ route: Int?) -> [String]
    ) throws(Refusal) -> RequestDecision {
        try HandshakeGuard.checkRequest(head)
        let match = router.match(head.path)
        guard head.isGET || head.isCommand else {
            guard let page = origin.page else { throw RequestOrigin.refusal }
            return .answer(CrossOrigin.preflight(page: page, names: pageHeaders(match?.index)))
        }
        guard let match else { return try unrouted(head, configuration) }
        let transport = try RequestedTransport(head)
        guard origin.admits(transport) else { throw RequestOrigin.refusal }
        if case .command(let bytes) = transport {
            guard configuration.routes[match.index].clientProtocol == .plain else {
                throw Refusal(
                    status: .methodNotAllowed, message: "inboxes of this route are read by rpc",
                    headers: [("Allow", "GET")], reason: .method)
            }
            guard bytes <= configuration.maximumMessageBytes else {
                throw Refusal(
                    status: .payloadTooLarge,
                    message: "a command has at most \(configuration.maximumMessageBytes) bytes", reason: .malformed)
            }
        }
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
                route: match.index, path: head.path, values: match.values, transport: transport, deflate: deflate,
                subprotocol: subprotocol,
                since: subprotocol == Subprotocol.inbox ? SinceCursor.brought(by: head) : nil,
                client: client(head, peer, configuration), page: origin.page))
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
