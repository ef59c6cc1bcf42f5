import NIOCore

/// Ends a connection so that the last bytes written arrive.
///
/// Closing a socket that holds unread bytes sends a reset, and a reset throws away what the peer has not read yet. So
/// only the sending side is shut; the peer's end, or the caller's deadline, ends the rest.
enum LingeringClose {
    static func close(_ context: ChannelHandlerContext) {
        context.close(mode: .output).assumeIsolated().whenFailure { _ in context.close(promise: nil) }
    }
}
