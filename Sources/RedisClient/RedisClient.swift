public import Logging
public import NIOCore

/// Commands to one Redis over one connection that comes back by itself.
///
/// Commands of one turn of the event loop leave together (pipelining) and are answered in order. While there is no
/// connection a command fails at once with `.unavailable`; a lost answer is a `.timeout`. Safe to use from anywhere.
public final class RedisClient: Sendable {
    public let eventLoop: any EventLoop
    private let link: NIOLoopBound<RedisLink>

    /// Makes a client and starts to dial. It does not wait for Redis: a broker starts while Redis is away.
    public static func start(
        _ configuration: RedisConfiguration, on eventLoop: any EventLoop, logger: Logger,
        onStateChange: @escaping @Sendable (_ isUp: Bool) -> Void = { _ in }
    ) async throws -> RedisClient {
        try await eventLoop.submit {
            RedisClient(configuration, on: eventLoop, logger: logger, onStateChange: onStateChange)
        }.get()
    }

    private init(
        _ configuration: RedisConfiguration, on eventLoop: any EventLoop, logger: Logger,
        onStateChange: @escaping @Sendable (Bool) -> Void
    ) {
        self.eventLoop = eventLoop
        let link = RedisLink(configuration, eventLoop: eventLoop, logger: logger)
        self.link = NIOLoopBound(link, eventLoop: eventLoop)
        link.probe = { $0.send(RedisCommand("PING")) { _ in } }
        link.onUp = { _ in onStateChange(true) }
        link.onDown = { _ in onStateChange(false) }
        link.start()
    }

    /// Sends a command and waits for its answer.
    ///
    /// - Throws: `RedisError`; an error that Redis answers has the code `.server`.
    public func send(_ command: RedisCommand) async throws -> RedisValue {
        try await submit(command).get()
    }

    /// The same for callers on event loops; the future completes on the client's loop.
    public func submit(_ command: RedisCommand) -> EventLoopFuture<RedisValue> {
        let promise = eventLoop.makePromise(of: RedisValue.self)
        if eventLoop.inEventLoop {
            send(command, promise)
        } else {
            eventLoop.execute { self.send(command, promise) }
        }
        return promise.futureResult
    }

    /// A command and then WAIT, on the same connection and so about the same writes (redis.io, "WAIT").
    ///
    /// - Throws (in the future): as `submit`; `.timeout` when fewer replicas acknowledged in time: Redis has carried the
    ///   command out, but it may be lost with this server.
    public func submit(
        _ command: RedisCommand, waitingFor replicas: Int, milliseconds: Int
    ) -> EventLoopFuture<RedisValue> {
        guard replicas > 0 else { return submit(command) }
        let reply = eventLoop.makePromise(of: RedisValue.self)
        let acknowledged = eventLoop.makePromise(of: RedisValue.self)
        let wait = RedisCommand("WAIT", String(replicas), String(milliseconds))
        let sendBoth: @Sendable () -> Void = {
            self.send(command, reply)
            self.send(wait, acknowledged)
        }
        if eventLoop.inEventLoop { sendBoth() } else { eventLoop.execute(sendBoth) }
        return reply.futureResult.and(acknowledged.futureResult).flatMapThrowing { reply, acknowledged in
            let count = acknowledged.int ?? 0
            guard count >= replicas else {
                throw RedisError(.timeout, "\(count) of \(replicas) replicas acknowledged within \(milliseconds) ms")
            }
            return reply
        }
    }

    private func send(_ command: RedisCommand, _ promise: EventLoopPromise<RedisValue>) {
        guard let connection = link.value.connection else {
            let (address, why) = (link.value.configuration.address, link.value.lastError.message)
            return promise.fail(RedisError(.unavailable, "no connection to \(address): \(why)"))
        }
        connection.send(command) { reply in promise.completeWith(reply.mapError { $0 as any Error }) }
    }

    /// Whether a connection stands. On the client's loop only.
    public var isUp: Bool { link.value.connection != nil }

    /// Waits until Redis answers, at most `patience`; for commands that a person waits for.
    public func waitUntilUp(_ patience: TimeAmount) async throws {
        let deadline = NIODeadline.now() + patience
        while true {
            do {
                _ = try await send(RedisCommand("PING"))
                return
            } catch let error as RedisError where error.code != .server {
                if NIODeadline.now() >= deadline { throw error }
                try await Task.sleep(for: .milliseconds(20))
            }
        }
    }

    public func close() async {
        try? await eventLoop.submit { self.link.value.stop() }.get()
    }
}
