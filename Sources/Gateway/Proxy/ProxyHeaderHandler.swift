import NIOCore

/// Strips the PROXY protocol header from a connection that continues with TLS: the first handler of its channel.
final class ProxyHeaderHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private let greeting: TLSGreeting
    private let credentials: ServerCredentials
    private var parser = ProxyHeaderParser()
    private var isOver = false

    /// - Parameter greeting: receives the client's address; it also enforces the time limit.
    init(_ greeting: TLSGreeting, _ credentials: ServerCredentials) {
        self.greeting = greeting
        self.credentials = credentials
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isOver else { return context.fireChannelRead(data) }
        switch parser.feed(unwrapInboundIn(data)) {
        case .needsMore: break
        case .malformed: fail("a trusted proxy must begin with the PROXY protocol's header")
        case .header(let source, let rest):
            isOver = true
            greeting.source = source
            do { try greeting.secure(behind: self, credentials) } catch { return fail("\(error)") }
            if rest.readableBytes > 0 { context.fireChannelRead(wrapInboundOut(rest)) }
            context.pipeline.syncOperations.removeHandler(context: context, promise: nil)
        }
    }

    private func fail(_ why: String) {
        isOver = true
        greeting.refuse(.proxyHeader, why: why)
    }
}

@available(*, unavailable) extension ProxyHeaderHandler: Sendable {}
