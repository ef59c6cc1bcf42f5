import Logging
import NIOCore

/// Keeps one connection to Redis alive: dials, probes, and redials after a loss, forever, with full jitter.
///
/// An established connection is not necessarily usable: Redis may refuse everything sent on it. Its owner therefore confirms
/// it (`confirm`); only then are delays short again, and only then does the log report that Redis is back.
///
/// Lives on its event loop. Its owner learns of each connection by `onUp`, of each loss by `onDown`, and of each failed dial
/// by `onMiss`.
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
    private(set) var refusalBackoff: Backoff
    private var generator = SystemRandomNumberGenerator()
    private var probes: RepeatedTask?
    private var endObservation: (@Sendable () -> Void)?
    /// Where the server went while it was dialled.
    private var movedTo: RedisAddress?
    private var pace = MovePace()
    /// Where the server went last, by an announcement that is not followed yet, and when it will be.
    private var announced: RedisAddress?
    private var following: Scheduled<Void>?
    private var failures = 0
    private var trouble = TroubleLog()
    /// Whether the owner has confirmed the current connection.
    private(set) var isConfirmed = false
    /// Why there is no connection.
    private(set) var lastError = RedisError(.unavailable, "not connected yet")

    private var what: String { configuration.peer == .sentinel ? "a Sentinel" : "Redis" }

    var onUp: ((RedisConnection) -> Void)?
    var onDown: ((RedisError) -> Void)?
    var onMiss: ((RedisError) -> Void)?
    /// Sends a probe that fits the connection's mode.
    var probe: ((RedisConnection) -> Void)?

    init(_ configuration: RedisConfiguration, eventLoop: any EventLoop, logger: Logger) {
        self.configuration = configuration
        self.eventLoop = eventLoop
        self.logger = logger
        backoff = configuration.backoff
        refusalBackoff = configuration.refusalBackoff
    }

    /// The current connection, if any.
    var connection: RedisConnection? { if case .up(let connection) = state { connection } else { nil } }

    func start() {
        guard case .idle = state else { return }
        dial()
        let interval = configuration.probeInterval
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        endObservation = configuration.locator.observe(on: eventLoop) { bound.value.moved(to: $0) }
        probes = eventLoop.scheduleRepeatedTask(initialDelay: interval, delay: interval) { _ in
            if let connection = bound.value.connection { bound.value.probe?(connection) }
        }
    }

    func stop() {
        probes?.cancel()
        probes = nil
        endObservation?()
        endObservation = nil
        following?.cancel()
        following = nil
        let before = state
        state = .stopped
        switch before {
        case .waiting(let retry): retry.cancel()
        case .up(let connection): connection.close(RedisError(.stopped, "the Redis client was closed"))
        case .idle, .dialling, .stopped: break
        }
    }

    /// Call when the connection has proved usable.
    func confirm() {
        guard !isConfirmed, connection != nil else { return }
        isConfirmed = true
        backoff.reset()
        refusalBackoff.reset()
        failures = 0
        if trouble.ends() {
            logger.notice("\(what) is back", metadata: ["redis.address": "\(configuration.host)"])
        }
    }

    /// Dials anew unless that is the server in use, or the one that is being dialled: at once, or when `MovePace` allows it.
    private func moved(to address: RedisAddress) {
        switch state {
        case .dialling: movedTo = address
        case .up, .waiting:
            announced = address
            guard following == nil else { return }
            let delay = pace.delay(at: eventLoop.now, using: &generator)
            guard delay > .zero else { return follow() }
            following = eventLoop.assumeIsolated().scheduleTask(in: delay) { self.follow() }
        case .idle, .stopped: break
        }
    }

    private func follow() {
        following = nil
        guard let address = announced else { return }
        announced = nil
        switch state {
        case .up(let connection):
            if connection.address != address { connection.close(Self.out(of: connection.address, address)) }
        case .waiting(let retry):
            retry.cancel()
            backoff.reset()
            wait(backoff.next(using: &generator))
        case .idle, .dialling, .stopped: break
        }
    }

    private static func out(of old: RedisAddress, _ new: RedisAddress) -> RedisError {
        RedisError(.unavailable, "\(old) is not the primary any more: \(new) is")
    }

    private func dial() {
        state = .dialling
        movedTo = nil
        RedisConnection.dial(configuration, on: eventLoop).assumeIsolated().whenComplete { result in
            switch (result, self.state) {
            case (.success(let connection), .dialling): self.up(connection.value)
            case (.success(let connection), _):
                connection.value.close(RedisError(.stopped, "the Redis client was closed"))
            case (.failure(let error), .dialling):
                self.lastError = RedisError(error)
                self.onMiss?(self.lastError)
                self.retry()
            case (.failure, _): break
            }
        }
    }

    private func up(_ connection: RedisConnection) {
        state = .up(connection)
        isConfirmed = false
        connection.onClose = { reason in
            guard case .up = self.state else { return }
            self.lastError = reason
            self.onDown?(reason)
            self.retry()
        }
        if let movedTo, movedTo != connection.address {
            return connection.close(Self.out(of: connection.address, movedTo))
        }
        onUp?(connection)
    }

    private func retry() {
        failures += 1
        isConfirmed = false
        let wasRefused = lastError.code == .server
        if let held = trouble.begins(wasRefused ? lastError.kind : "away") {
            logger.warning(
                "no connection to \(what)\(wasRefused ? " that can be used" : ""); trying again",
                metadata: [
                    "redis.address": "\(configuration.host)", "error": "\(lastError)", "failures": "\(failures)",
                    "held_back": "\(held)",
                ])
        }
        // What Redis refuses, it will refuse again until an administrator or a failover changes something.
        let delay = wasRefused ? refusalBackoff.next(using: &generator) : backoff.next(using: &generator)
        wait(delay)
    }

    private func wait(_ delay: TimeAmount) {
        state = .waiting(
            eventLoop.assumeIsolated().scheduleTask(in: delay) {
                guard case .waiting = self.state else { return }
                self.dial()
            })
    }
}

@available(*, unavailable) extension RedisLink: Sendable {}
