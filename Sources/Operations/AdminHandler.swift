import Broker
import NIOCore
import NIOHTTP1

/// Answers requests to the admin port from a table of endpoints. One per connection, on its event loop; the pipeline passes
/// on the next request only when the previous one has been answered.
final class AdminHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    static let maximumBody = 64 << 10
    private let endpoints: [AdminEndpoint]
    private let access: AdminAccess
    private var head: HTTPRequestHead?
    private var body = ByteBuffer()
    private var bodyBytes = 0

    init(_ endpoints: [AdminEndpoint], _ access: AdminAccess) {
        self.endpoints = endpoints
        self.access = access
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            self.head = head
            body = ByteBuffer()
            bodyBytes = 0
        case .body(let bytes):
            bodyBytes += bytes.readableBytes
            // An oversized body is counted, but not kept.
            if bodyBytes <= Self.maximumBody { body.writeImmutableBuffer(bytes) }
        case .end:
            guard let head else { return }
            self.head = nil
            answer(head, context: context)
        }
    }

    private func answer(_ head: HTTPRequestHead, context: ChannelHandlerContext) {
        let path = head.uri.prefix { $0 != "?" }
        if path == "/", head.method == .GET || head.method == .HEAD { return write(index, to: head, context: context) }
        let matches = endpoints.compactMap { endpoint in endpoint.match(path).map { (endpoint, $0) } }
        guard !matches.isEmpty else {
            let answer = AdminAnswer.error(
                .notFound, "not_found", "nothing is served at this path", remedy: "GET / lists what is")
            return write(answer, to: head, context: context)
        }
        let method = head.method == .HEAD ? .GET : head.method
        guard let (endpoint, parameters) = matches.first(where: { $0.0.method == method }) else {
            let allowed = matches.map(\.0.method.rawValue).joined(separator: ", ")
            let answer = AdminAnswer.error(
                .methodNotAllowed, "method_not_allowed", "this path is not asked with \(head.method.rawValue)",
                remedy: "use \(allowed)", headers: [("Allow", allowed)])
            return write(answer, to: head, context: context)
        }
        if let refusal = access.refusal(head.headers, for: endpoint.level) {
            return write(refusal, to: head, context: context)
        }
        guard bodyBytes <= Self.maximumBody else {
            let answer = AdminAnswer.error(
                .payloadTooLarge, "too_large", "the body has more than \(Self.maximumBody) bytes",
                remedy: "send less: a message is meant to say that something changed, not to carry it")
            return write(answer, to: head, context: context)
        }
        let request = AdminRequest(
            method: head.method, path: String(path), parameters: parameters, query: Self.query(head.uri),
            headers: head.headers, body: body)
        body = ByteBuffer()
        switch endpoint.work {
        case .now(let work): write(work(request), to: head, context: context)
        case .later(let work):
            context.eventLoop.makeFutureWithTask { await work(request) }.assumeIsolated().whenSuccess { answer in
                self.write(answer, to: head, context: context)
            }
        }
    }

    private static func query(_ uri: String) -> [String: String] {
        var values: [String: String] = [:]
        for parameter in QueryString(target: uri).parameters {
            guard let name = parameter.decodedName else { continue }
            values[name] = parameter.decodedValue ?? ""
        }
        return values
    }

    private var index: AdminAnswer {
        let lines = endpoints.map { "\($0.method.rawValue) \($0.path)  \($0.summary)\n" }
        return AdminAnswer(.ok, "tocsin, admin port\n\n" + lines.joined())
    }

    private func write(_ answer: AdminAnswer, to request: HTTPRequestHead, context: ChannelHandlerContext) {
        let body = answer.body
        var head = HTTPResponseHead(version: .http1_1, status: answer.status)
        head.headers.add(name: "Content-Type", value: answer.contentType)
        head.headers.add(name: "Content-Length", value: String(body.readableBytes))
        head.headers.add(name: "Cache-Control", value: "no-store")
        head.headers.add(name: "X-Content-Type-Options", value: "nosniff")
        for (name, value) in answer.headers { head.headers.add(name: name, value: value) }
        // After a request that offers an upgrade (h2c, as Java's client does) the decoder reads nothing more.
        let isLast = !request.isKeepAlive || request.headers.contains(name: "upgrade")
        if isLast { head.headers.add(name: "Connection", value: "close") }
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        if request.method != .HEAD { context.write(wrapOutboundOut(.body(.byteBuffer(body))), promise: nil) }
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        if isLast { context.close(promise: nil) }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is IdleStateHandler.IdleStateEvent { context.close(promise: nil) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}

@available(*, unavailable) extension AdminHandler: Sendable {}
