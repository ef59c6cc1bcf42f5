import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

/// A minimal web site that answers who a user is.
final class TinySite: Sendable {
    enum Reply: Sendable {
        case answer(HTTPResponseStatus, String)
        /// Sends nothing and keeps the connection open.
        case silence
        /// Sends the head, and nothing more.
        case headThenSilence
        /// Answers when the test releases it.
        case held(String)
    }

    private struct State {
        var requests: [HTTPRequestHead] = []
        var held: [@Sendable () -> Void] = []
    }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = HTTPServerRequestPart
        typealias OutboundOut = HTTPServerResponsePart
        private let site: TinySite
        private var head: HTTPRequestHead?

        init(_ site: TinySite) { self.site = site }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            if case .head(let head) = unwrapInboundIn(data) { self.head = head }
            guard case .end = unwrapInboundIn(data), let head else { return }
            let count = site.state.withLock { state in
                state.requests.append(head)
                return state.requests.count
            }
            switch site.reply(head, count) {
            case .answer(let status, let body): answer(status, body, context)
            case .silence: break
            case .headThenSilence: write(.ok, length: 100, context)
            case .held(let body):
                let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
                let loop = context.eventLoop
                site.state.withLock {
                    $0.held.append { loop.execute { bound.value.0.answer(.ok, body, bound.value.1) } }
                }
            }
        }

        private func write(_ status: HTTPResponseStatus, length: Int, _ context: ChannelHandlerContext) {
            let headers = HTTPHeaders([("Content-Length", String(length)), ("Location", "/login")])
            let head = HTTPResponseHead(version: .http1_1, status: status, headers: headers)
            context.writeAndFlush(wrapOutboundOut(.head(head)), promise: nil)
        }

        private func answer(_ status: HTTPResponseStatus, _ body: String, _ context: ChannelHandlerContext) {
            write(status, length: body.utf8.count, context)
            context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: body)))), promise: nil)
            context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        }
    }

    private let state = Mutex(State())
    private let reply: @Sendable (HTTPRequestHead, Int) -> Reply

    private init(_ reply: @escaping @Sendable (HTTPRequestHead, Int) -> Reply) { self.reply = reply }

    /// - Parameter reply: called with each request, and the number of requests so far.
    static func run<R>(
        _ reply: @escaping @Sendable (HTTPRequestHead, Int) -> Reply, isolation: isolated (any Actor)? = #isolation,
        _ body: (TinySite, String) async throws -> R
    ) async throws -> R {
        let site = TinySite(reply)
        let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                    try channel.pipeline.syncOperations.addHandler(Handler(site))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let result: Result<R, any Error>
        do {
            result = .success(try await body(site, "http://127.0.0.1:\(listener.localAddress!.port!)/ws-auth"))
        } catch {
            result = .failure(error)
        }
        try? await listener.close().get()
        return try result.get()
    }

    var requests: [HTTPRequestHead] { state.withLock { $0.requests } }

    /// Answers that wait for `release`.
    var heldCount: Int { state.withLock { $0.held.count } }

    func release() {
        let held = state.withLock { state in
            defer { state.held = [] }
            return state.held
        }
        for answer in held { answer() }
    }
}
