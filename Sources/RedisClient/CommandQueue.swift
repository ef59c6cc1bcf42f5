import NIOCore

/// The commands that wait for replies on one connection, in order: Redis replies in the order of the commands.
///
/// A value without I/O. `Context` is a promise in production and a name in tests.
///
/// ```
///            send                reply
///   (open) ────────▶ waiting… ────────▶ complete, oldest first
///      │ deadline of the oldest passes, or the connection ends
///      ▼
///   (closed): every waiting command fails; a further send fails immediately
/// ```
struct CommandQueue<Context> {
    struct Waiting {
        let context: Context
        let deadline: NIODeadline
    }

    /// Maximum number of waiting commands; beyond it a send fails immediately, so that the queue stays bounded.
    let limit: Int
    private var waiting = CircularBuffer<Waiting>()
    private var isClosed = false

    init(limit: Int) { self.limit = limit }

    var count: Int { waiting.count }

    enum SendAction { case write, fail(RedisError) }

    mutating func send(_ context: Context, deadline: NIODeadline) -> SendAction {
        if isClosed { return .fail(RedisError(.unavailable, "no connection to Redis")) }
        if waiting.count >= limit {
            return .fail(RedisError(.overloaded, "\(limit) Redis commands wait for an answer already"))
        }
        waiting.append(Waiting(context: context, deadline: deadline))
        return .write
    }

    enum ReplyAction { case complete(Context), unasked }

    mutating func reply() -> ReplyAction {
        guard let first = waiting.popFirst() else { return .unasked }
        return .complete(first.context)
    }

    enum TickAction: Equatable { case nothing, close }

    /// Replies come in order, so after one missed deadline the connection cannot be trusted to deliver any.
    func tick(now: NIODeadline) -> TickAction {
        guard let first = waiting.first, first.deadline <= now else { return .nothing }
        return .close
    }

    /// Closes the queue. The caller must fail the commands that are returned.
    mutating func close() -> [Context] {
        isClosed = true
        defer { waiting.removeAll() }
        return waiting.map(\.context)
    }
}
