import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import Synchronization

/// A web site on loopback that records requests.
final class LocalSite: Sendable {
    enum Reply: Sendable {
        case answer(HTTPResponseStatus, HTTPHeaders = [:])
        /// Sends nothing and keeps the connection open.
        case silence
        /// Sends the head, and nothing more.
        case headThenSilence(HTTPResponseStatus)
        /// Sends a body without end, as long as it is read.
        case endless(HTTPResponseStatus)
    }

    struct Request: Sendable {
        var head: HTTPRequestHead
        var body: ByteBuffer
    }

    private struct State {
        var requests: [Request] = []
        var connections = 0
        /// Bytes of endless bodies that the system took.
        var written = 0
        var aborted = 0
    }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = HTTPServerRequestPart
        typealias OutboundOut = HTTPServerResponsePart
        private let site: LocalSite
        private var head: HTTPRequestHead?
        private var body = ByteBuffer()
        private var isEndless = false

        init(_ site: LocalSite) { self.site = site }

        func channelActive(context: ChannelHandlerContext) {
            site.state.withLock { $0.connections += 1 }
            context.fireChannelActive()
        }

        func channelInactive(context: ChannelHandlerContext) {
            if isEndless { site.state.withLock { $0.aborted += 1 } }
            isEndless = false
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            switch unwrapInboundIn(data) {
            case .head(let head): (self.head, body) = (head, ByteBuffer())
            case .body(var part): body.writeBuffer(&part)
            case .end:
                guard let head else { return }
                let request = Request(head: head, body: body)
                site.state.withLock { $0.requests.append(request) }
                reply(site.reply(request), context)
            }
        }

        private func reply(_ reply: Reply, _ context: ChannelHandlerContext) {
            switch reply {
            case .answer(let status, var headers):
                headers.replaceOrAdd(name: "Content-Length", value: "0")
                begin(status, headers, context)
                context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
            case .silence: break
            case .headThenSilence(let status): begin(status, ["Content-Length": "100"], context)
            case .endless(let status):
                begin(status, [:], context)
                isEndless = true
                more(context)
            }
        }

        private func begin(_ status: HTTPResponseStatus, _ headers: HTTPHeaders, _ context: ChannelHandlerContext) {
            let head = HTTPResponseHead(version: .http1_1, status: status, headers: headers)
            context.writeAndFlush(wrapOutboundOut(.head(head)), promise: nil)
        }

        private func more(_ context: ChannelHandlerContext) {
            let part = ByteBuffer(repeating: 0x78, count: 16 << 10)
            let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
            context.writeAndFlush(wrapOutboundOut(.body(.byteBuffer(part)))).whenSuccess {
                let (handler, context) = bound.value
                handler.site.state.withLock { $0.written += part.readableBytes }
                if handler.isEndless { handler.more(context) }
            }
        }
    }

    private let state = Mutex(State())
    private let reply: @Sendable (Request) -> Reply

    private init(_ reply: @escaping @Sendable (Request) -> Reply) { self.reply = reply }

    /// - Parameter tls: nil: HTTP without TLS.
    static func run<R>(
        tls: NIOSSLContext? = nil, _ reply: @escaping @Sendable (Request) -> Reply,
        isolation: isolated (any Actor)? = #isolation, _ body: (LocalSite, Int) async throws -> R
    ) async throws -> R {
        let site = LocalSite(reply)
        let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let tls { try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: tls)) }
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                    try channel.pipeline.syncOperations.addHandler(Handler(site))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let result: Result<R, any Error>
        do {
            result = .success(try await body(site, listener.localAddress!.port!))
        } catch {
            result = .failure(error)
        }
        try? await listener.close().get()
        return try result.get()
    }

    var requests: [Request] { state.withLock { $0.requests } }
    var connections: Int { state.withLock { $0.connections } }
    var written: Int { state.withLock { $0.written } }
    /// Endless bodies whose reader has closed the connection.
    var aborted: Int { state.withLock { $0.aborted } }
}
