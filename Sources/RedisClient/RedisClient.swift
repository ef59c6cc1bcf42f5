public import Logging
public import NIOCore

/// Sends commands to one Redis over a single connection that reconnects by itself.
///
/// Commands of one turn of the event loop are pipelined and answered in order. Without a connection a command fails
/// immediately with `.unavailable`; a lost answer is a `.timeout`. An answer that only a replica gives closes the
/// connection, and the address is dialled again. Safe to use from any thread.
public final class RedisClient: Sendable {
    /// Changes of the client's state; reported on its event loop.
    public enum Event: Sendable {
        case up
        /// The connection was lost.
        case down(RedisError)
        /// No connection could be established.
        case missed(RedisError)
        /// Redis answered a command with an error.
        case refused(RedisError)
    }

    /// What shows that a connection is usable, after which the next loss starts with short delays again.
    public enum Confirmation: Sendable {
        /// The first command or probe that succeeds.
        case answer
        /// The owner's call of `confirm`.
        case owner
    }

    public let eventLoop: any EventLoop
    private let link: NIOLoopBound<RedisLink>
    private let confirmation: Confirmation
    private let onEvent: @Sendable (Event) -> Void

    /// Creates a client and starts dialling. Does not wait for Redis, so that a gateway can start while Redis is down.
    public static func start(
        _ configuration: RedisConfiguration, on eventLoop: any EventLoop, logger: Logger,
        confirmation: Confirmation = .answer, onEvent: @escaping @Sendable (Event) -> Void = { _ in }
    ) async throws -> RedisClient {
        try await eventLoop.submit {
            RedisClient(configuration, on: eventLoop, logger: logger, confirmation: confirmation, onEvent: onEvent)
        }.get()
    }

    private init(
        _ configuration: RedisConfiguration, on eventLoop: any EventLoop, logger: Logger, confirmation: Confirmation,
        onEvent: @escaping @Sendable (Event) -> Void
    ) {
        self.eventLoop = eventLoop
        self.confirmation = confirmation
        self.onEvent = onEvent
        let link = RedisLink(configuration, eventLoop: eventLoop, logger: logger)
        self.link = NIOLoopBound(link, eventLoop: eventLoop)
        link.probe = { [unowned link] connection in
            connection.send(RedisCommand("PING")) { reply in
                if case .success = reply, confirmation == .answer { link.confirm() }
            }
        }
        link.onUp = { _ in onEvent(.up) }
        link.onDown = { onEvent(.down($0)) }
        link.onMiss = { onEvent(.missed($0)) }
        link.start()
    }

    /// Sends a command and waits for the answer.
    ///
    /// - Throws: `RedisError`; an error reply of Redis has the code `.server`.
    public func send(_ command: RedisCommand) async throws -> RedisValue {
        try await submit(command).get()
    }

    /// Sends a command. For callers on event loops; the future completes on the client's loop.
    public func submit(_ command: RedisCommand) -> EventLoopFuture<RedisValue> {
        let promise = eventLoop.makePromise(of: RedisValue.self)
        if eventLoop.inEventLoop {
            send(command, promise)
        } else {
            eventLoop.execute { self.send(command, promise) }
        }
        return promise.futureResult
    }

    /// Sends a command followed by WAIT on the same connection, so that WAIT covers its writes (redis.io, "WAIT").
    ///
    /// - Throws (in the future): as `submit`; `.timeout` when fewer replicas acknowledged in time, or none is connected where all
    ///   are waited for: Redis has executed the command, but it may be lost with this server.
    public func submit(
        _ command: RedisCommand, waitingFor replicas: ReplicaQuorum, milliseconds: Int
    ) -> EventLoopFuture<RedisValue> {
        switch replicas {
        case .count(let count) where count <= 0: return submit(command)
        case .count(let count):
            let (reply, acknowledged) = submit(command, then: Self.wait(count, milliseconds))
            return reply.and(acknowledged).flatMapThrowing { reply, acknowledged in
                try Self.check(acknowledged, count, milliseconds)
                return reply
            }
        case .all:
            let (reply, role) = submit(command, then: RedisCommand("ROLE"))
            let acknowledged = role.flatMap { role -> EventLoopFuture<Void> in
                guard let count = ReplicaQuorum.connected(role), count > 0 else {
                    return self.eventLoop.makeFailedFuture(
                        RedisError(.timeout, "no replica is connected to the primary, and all are waited for"))
                }
                return self.submit(Self.wait(count, milliseconds)).flatMapThrowing {
                    try Self.check($0, count, milliseconds)
                }
            }
            return reply.and(acknowledged).map { reply, _ in reply }
        }
    }

    private static func wait(_ count: Int, _ milliseconds: Int) -> RedisCommand {
        RedisCommand("WAIT", String(count), String(milliseconds))
    }

    private static func check(_ acknowledged: RedisValue, _ count: Int, _ milliseconds: Int) throws {
        let number = acknowledged.int ?? 0
        guard number >= count else {
            throw RedisError(.timeout, "\(number) of \(count) replicas acknowledged within \(milliseconds) ms")
        }
    }

    /// Sends two commands on the same connection.
    private func submit(
        _ command: RedisCommand, then second: RedisCommand
    ) -> (EventLoopFuture<RedisValue>, EventLoopFuture<RedisValue>) {
        let first = eventLoop.makePromise(of: RedisValue.self), other = eventLoop.makePromise(of: RedisValue.self)
        let sendBoth: @Sendable () -> Void = {
            self.send(command, first)
            self.send(second, other)
        }
        if eventLoop.inEventLoop { sendBoth() } else { eventLoop.execute(sendBoth) }
        return (first.futureResult, other.futureResult)
    }

    private func send(_ command: RedisCommand, _ promise: EventLoopPromise<RedisValue>) {
        let link = self.link.value
        guard let connection = link.connection else {
            let (host, why) = (link.configuration.host, link.lastError.message)
            return promise.fail(RedisError(.unavailable, "no connection to \(host): \(why)"))
        }
        connection.send(command) { reply in
            switch reply {
            case .success(let value):
                if !link.isConfirmed, self.confirmation == .answer { link.confirm() }
                promise.succeed(value)
            case .failure(let error):
                if error.code == .server { self.refused(error, on: connection) }
                promise.fail(error)
            }
        }
    }

    private func refused(_ error: RedisError, on connection: RedisConnection) {
        if error.isOfReplica { connection.close(error) } else { onEvent(.refused(error)) }
    }

    /// Whether a connection is established. On the client's loop only.
    public var isUp: Bool { link.value.connection != nil }

    /// Why there is no connection. On the client's loop only.
    public var lastError: RedisError { link.value.lastError }

    /// Closes the connection and dials again. On the client's loop only.
    public func reconnect(_ reason: RedisError) { link.value.connection?.close(reason) }

    /// Marks the connection as usable for its owner's purpose. On the client's loop only.
    public func confirm() { link.value.confirm() }

    /// Waits until Redis answers, at most `patience`; for interactive commands. Any answer counts: a Redis whose disk fails
    /// refuses even PING.
    public func waitUntilUp(_ patience: TimeAmount) async throws {
        let deadline = NIODeadline.now() + patience
        while true {
            do {
                _ = try await send(RedisCommand("PING"))
                return
            } catch let error as RedisError {
                if error.code == .server && error.kind != "LOADING" { return }
                if NIODeadline.now() >= deadline { throw error }
                try await Task.sleep(for: .milliseconds(20))
            }
        }
    }

    public func close() async {
        try? await eventLoop.submit { self.link.value.stop() }.get()
    }
}
