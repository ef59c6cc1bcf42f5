import NIOCore
import NIOHTTP1

/// Answers requests to the admin port from a table of endpoints. One per connection, on its event loop.
final class AdminHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private static let maximumBody = 64 << 10
    private let endpoints: [AdminEndpoint]
    private var head: HTTPRequestHead?
    private var bodyBytes = 0

    init(_ endpoints: [AdminEndpoint]) { self.endpoints = endpoints }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            self.head = head
            bodyBytes = 0
        case .body(let bytes): bodyBytes += bytes.readableBytes
        case .end:
            guard let head else { return }
            self.head = nil
            let isTooBig = bodyBytes > Self.maximumBody
            let answer = isTooBig ? AdminAnswer(.payloadTooLarge, "the body has more than 65536 bytes\n") : answer(head)
            write(answer, to: head, context: context)
        }
    }

    private func answer(_ head: HTTPRequestHead) -> AdminAnswer {
        let path = String(head.uri.prefix { $0 != "?" })
        guard head.method == .GET || head.method == .HEAD else {
            return AdminAnswer(.methodNotAllowed, "only GET is answered here\n")
        }
        if path == "/" { return index }
        guard let endpoint = endpoints.first(where: { $0.path == path }) else {
            return AdminAnswer(.notFound, "nothing is served at this path; GET / lists what is\n")
        }
        return endpoint.answer(AdminRequest(method: head.method, path: path))
    }

    private var index: AdminAnswer {
        let lines = endpoints.map { "GET \($0.path)  \($0.summary)\n" }
        return AdminAnswer(.ok, "tocsin, admin port\n\n" + lines.joined())
    }

    private func write(_ answer: AdminAnswer, to request: HTTPRequestHead, context: ChannelHandlerContext) {
        let body = ByteBuffer(string: answer.body)
        var head = HTTPResponseHead(version: .http1_1, status: answer.status)
        head.headers.add(name: "Content-Type", value: answer.contentType)
        head.headers.add(name: "Content-Length", value: String(body.readableBytes))
        head.headers.add(name: "Cache-Control", value: "no-store")
        if !request.isKeepAlive { head.headers.add(name: "Connection", value: "close") }
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        if request.method != .HEAD { context.write(wrapOutboundOut(.body(.byteBuffer(body))), promise: nil) }
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        if !request.isKeepAlive { context.close(promise: nil) }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is IdleStateHandler.IdleStateEvent { context.close(promise: nil) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}

@available(*, unavailable) extension AdminHandler: Sendable {}
