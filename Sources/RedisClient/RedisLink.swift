import Logging
import NIOCore

/// Keeps one connection to Redis alive: dials, probes, and dials again after a loss, with full jitter, for ever.
///
/// Lives on its event loop. Its owner learns of each connection by `onUp` and of each loss by `onDown`.
final class RedisLink {
    enum State {
        case idle
        case dialling
        case up(RedisConnection)
        case waiting(Scheduled<Void>)
        case stopped
    }

    let eventLoop: any EventLoop
    let configuration: RedisConfiguration
    private let logger: Logger
    private var state = State.idle
    private var backoff: Backoff
    private var generator = SystemRandomNumberGenerator()
    private var probes: RepeatedTask?
    private var failures = 0
    /// Why there is no connection, for whoever asks for one.
    private(set) var lastError = RedisError(.unavailable, "not connected yet")

    var onUp: ((RedisConnection) -> Void)?
    var onDown: ((RedisError) -> Void)?
    /// Sends the probe that suits the connection's mode.
    var probe: ((RedisConnection) -> Void)?

    init(_ configuration: RedisConfiguration, eventLoop: any EventLoop, logger: Logger) {
        self.configuration = configuration
        self.eventLoop = eventLoop
        self.logger = logger
        backoff = configuration.backoff
    }

    /// The connection, if there is one.
    var connection: RedisConnection? { if case .up(let connection) = state { connection } else { nil } }

    func start() {
        guard case .idle = state else { return }
        dial()
        let interval = configuration.probeInterval
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        probes = eventLoop.scheduleRepeatedTask(initialDelay: interval, delay: interval) { _ in
            if let connection = bound.value.connection { bound.value.probe?(connection) }
        }
    }

    func stop() {
        probes?.cancel()
        probes = nil
        let before = state
        state = .stopped
        switch before {
        case .waiting(let retry): retry.cancel()
        case .up(let connection): connection.close(RedisError(.stopped, "the Redis client was closed"))
        case .idle, .dialling, .stopped: break
        }
    }

    private func dial() {
        state = .dialling
        RedisConnection.dial(configuration, on: eventLoop).assumeIsolated().whenComplete { result in
            switch (result, self.state) {
            case (.success(let connection), .dialling): self.up(connection.value)
            case (.success(let connection), _):
                connection.value.close(RedisError(.stopped, "the Redis client was closed"))
            case (.failure(let error), .dialling): self.retry(error)
            case (.failure, _): break
            }
        }
    }

    private func up(_ connection: RedisConnection) {
        state = .up(connection)
        backoff.reset()
        if failures > 0 {
            logger.notice("Redis is back", metadata: ["redis.address": "\(configuration.address)"])
        }
        failures = 0
        connection.onClose = { reason in
            guard case .up = self.state else { return }
            self.onDown?(reason)
            self.retry(reason)
        }
        onUp?(connection)
    }

    private func retry(_ error: any Error) {
        failures += 1
        lastError = error as? RedisError ?? RedisError(.unavailable, "\(error)")
        // An outage is one line, not one line an attempt; what Redis refuses needs a person, so it is said again.
        if failures == 1 || failures % 60 == 0 {
            logger.warning(
                "no connection to Redis; trying again",
                metadata: ["redis.address": "\(configuration.address)", "error": "\(error)", "failures": "\(failures)"])
        }
        let delay = backoff.next(using: &generator)
        state = .waiting(
            eventLoop.assumeIsolated().scheduleTask(in: delay) {
                guard case .waiting = self.state else { return }
                self.dial()
            })
    }
}

@available(*, unavailable) extension RedisLink: Sendable {}
