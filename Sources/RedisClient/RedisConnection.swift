import NIOCore

/// The transport of a connection: a plain socket, or a channel with TLS.
protocol RedisWire: AnyObject {
    /// Sends immediately.
    func send(_ bytes: ByteBuffer)
    /// Closes the transport; it then calls the connection's `ended`.
    func close()
}

/// One connection: sends commands and returns their replies in order. Created and used on its event loop only.
///
/// Everything written in one turn of the loop leaves in one system call. With `onPush` set (a connection in subscribe mode)
/// pub/sub replies go there instead of completing commands (redis.io, "Pub/Sub": wire protocol messages).
final class RedisConnection {
    typealias Reply = Result<RedisValue, RedisError>

    private let configuration: RedisConfiguration
    /// The server at the other end.
    let address: RedisAddress
    let eventLoop: any EventLoop
    private var reader: RedisReplyReader
    /// Bytes received since the last complete reply.
    private var incompleteBytes = 0
    private var queue: CommandQueue<(Reply) -> Void>
    private var wire: (any RedisWire)?
    private var outgoing = ByteBuffer()
    private var flushIsDue = false
    private var tick: RepeatedTask?

    /// Returns true when the reply belonged to pub/sub and has been handled.
    var onPush: ((borrowing RedisReplyView) -> Bool)?
    /// Called after the last reply of a read.
    var onReadComplete: (() -> Void)?
    /// Called once, with the reason.
    var onClose: ((RedisError) -> Void)?
    private var closeReason: RedisError?

    init(_ configuration: RedisConfiguration, to address: RedisAddress, eventLoop: any EventLoop) {
        self.configuration = configuration
        self.address = address
        self.eventLoop = eventLoop
        reader = RedisReplyReader(maximumBytes: configuration.maximumReplyBytes)
        queue = CommandQueue(limit: configuration.maximumWaiting)
    }

    /// Number of commands waiting for an answer.
    var waiting: Int { queue.count }

    func send(_ command: RedisCommand, _ completion: @escaping (Reply) -> Void) {
        eventLoop.assertInEventLoop()
        switch queue.send(completion, deadline: .now() + configuration.commandTimeout) {
        case .fail(let error): completion(.failure(error))
        case .write: write(command)
        }
    }

    /// Sends without expecting a reply of its own: SUBSCRIBE and UNSUBSCRIBE are answered by one push per channel.
    func write(_ command: RedisCommand) {
        command.write(to: &outgoing)
        guard !flushIsDue else { return }
        flushIsDue = true
        eventLoop.assumeIsolated().execute { self.flush() }
    }

    private func flush() {
        flushIsDue = false
        wire?.send(outgoing)
        if outgoing.capacity > 1 << 16 { outgoing = ByteBuffer() } else { outgoing.clear() }
    }

    func close(_ reason: RedisError) {
        if closeReason == nil { closeReason = reason }
        if let wire { wire.close() } else { ended() }
    }

    // MARK: Transport events

    /// Called once the transport is connected.
    func begin(_ wire: any RedisWire) {
        self.wire = wire
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        tick = eventLoop.scheduleRepeatedTask(initialDelay: .milliseconds(250), delay: .milliseconds(250)) { _ in
            bound.value.checkDeadline()
        }
    }

    private func checkDeadline() {
        guard queue.tick(now: .now()) == .close else { return }
        let seconds = Double(configuration.commandTimeout.nanoseconds) / 1e9
        close(RedisError(.timeout, "Redis did not answer within \(seconds) s"))
    }

    func received(_ bytes: ByteBuffer) {
        do throws(RedisError) {
            incompleteBytes += bytes.readableBytes
            try reader.feed(bytes)
            while try reader.next({ view in take(view) }) != nil { incompleteBytes = 0 }
            // The reader measures strings when they are complete, and an endless one never is.
            guard incompleteBytes / 2 <= configuration.maximumReplyBytes else {
                throw RedisError(.protocolViolation, "Redis sent a reply that does not end")
            }
        } catch {
            close(error)
        }
    }

    func readComplete() { onReadComplete?() }

    private func take(_ view: borrowing RedisReplyView) {
        guard closeReason == nil else { return }
        if let onPush, onPush(view) { return }
        switch queue.reply() {
        case .complete(let completion):
            if view[0].kind == .error {
                completion(.failure(RedisError(.server, view.text(view[0]))))
            } else {
                completion(.success(RedisValue(view)))
            }
        case .unasked:
            // A server that turns a client away sends its reason unasked: "max number of clients reached".
            let text = view[0].kind == .error ? view.text(view[0]) : "a reply that nothing asked for"
            close(RedisError(.server, text))
        }
    }

    func failed(_ error: any Error) {
        close(RedisError(.unavailable, "the connection to Redis failed: \(TLSTrouble.words(error))"))
    }

    /// Called exactly once, when the transport has closed.
    func ended() {
        tick?.cancel()
        tick = nil
        wire = nil
        let reason = closeReason ?? RedisError(.unavailable, "Redis closed the connection")
        closeReason = reason
        let lost =
            reason.code == .timeout ? reason : RedisError(.timeout, "the answer was lost: \(reason.message)")
        for completion in queue.close() { completion(.failure(lost)) }
        onReadComplete = nil
        onPush = nil
        let onClose = onClose
        self.onClose = nil
        onClose?(reason)
    }
}

@available(*, unavailable) extension RedisConnection: Sendable {}
