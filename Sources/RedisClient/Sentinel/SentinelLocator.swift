public import Logging
public import NIOCore
import Synchronization

/// Finds a primary by asking Sentinels, and says at once when it has moved: `SentinelDiscovery` decides, this asks.
///
/// One locator serves all connections to the service, which thereby agree about it. While anybody observes it, it is subscribed
/// to `+switch-master` at one of the Sentinels. Safe to use from any thread.
public final class SentinelLocator: RedisLocator {
    private struct Observer {
        let eventLoop: any EventLoop
        let moved: @Sendable (RedisAddress) -> Void
    }

    private struct State {
        var discovery: SentinelDiscovery
        var waiters: [EventLoopPromise<RedisAddress>] = []
        var observers: [Int: Observer] = [:]
        var observerCount = 0
        var watch: SentinelWatch?
        var trouble = TroubleLog()
    }

    private let service: SentinelService
    private let settings: RedisConfiguration
    private let sentinels: [RedisConfiguration]
    private let logger: Logger
    private let state: Mutex<State>

    /// - Parameter configuration: its time-outs at most, client name and TLS are used for the Sentinels too.
    public init(_ service: SentinelService, for configuration: RedisConfiguration, logger: Logger) {
        self.service = service
        self.logger = logger
        settings = configuration
        sentinels = service.sentinels.indices.map { index in
            var settings = configuration
            settings.host = .server(service.sentinelAddress(index))
            settings.locator = FixedLocator(address: service.sentinelAddress(index))
            settings.peer = .sentinel
            // A Sentinel that is frozen must not delay those that are not.
            settings.connectTimeout = min(configuration.connectTimeout, .seconds(1))
            settings.commandTimeout = min(configuration.commandTimeout, .seconds(1))
            settings.maximumReplyBytes = 64 << 10
            return settings
        }
        state = Mutex(State(discovery: SentinelDiscovery(count: service.sentinels.count)))
    }

    /// The primary's address, as a Sentinel names it.
    ///
    /// - Throws (in the future): `RedisError` `.unavailable` that names every Sentinel with its answer.
    public func locate(on eventLoop: any EventLoop) -> EventLoopFuture<RedisAddress> {
        let promise = eventLoop.makePromise(of: RedisAddress.self)
        handle(.wanted, on: eventLoop, promise)
        return promise.futureResult
    }

    public func verified(_ address: RedisAddress, on eventLoop: any EventLoop) {
        if let endpoint = address.endpoint { handle(.verified(endpoint), on: eventLoop) }
    }

    public func disproved(_ address: RedisAddress, _ error: RedisError, on eventLoop: any EventLoop) {
        if let endpoint = address.endpoint {
            handle(.disproved(endpoint, "names \(endpoint): \(error)"), on: eventLoop)
        }
    }

    public func observe(
        on eventLoop: any EventLoop, _ moved: @escaping @Sendable (RedisAddress) -> Void
    ) -> @Sendable () -> Void {
        let (number, isFirst) = state.withLock { state in
            state.observerCount += 1
            state.observers[state.observerCount] = Observer(eventLoop: eventLoop, moved: moved)
            guard state.watch == nil else { return (state.observerCount, false) }
            state.watch = SentinelWatch(service, sentinels, on: eventLoop, logger: logger)
            return (state.observerCount, true)
        }
        if isFirst { watch()?.start(self) }
        return { [weak self] in self?.forget(number) }
    }

    private func watch() -> SentinelWatch? { state.withLock { $0.watch } }

    private func forget(_ number: Int) {
        let unused = state.withLock { state -> SentinelWatch? in
            state.observers[number] = nil
            guard state.observers.isEmpty else { return nil }
            defer { state.watch = nil }
            return state.watch
        }
        unused?.stop()
    }

    /// A Sentinel has announced a failover.
    func switched(from: RedisEndpoint, to: RedisEndpoint, by sentinel: Int, on eventLoop: any EventLoop) {
        logger.notice(
            "Sentinel has another primary",
            metadata: ["redis.address": "\(service)", "from": "\(from)", "to": "\(to)"])
        handle(.switched(from: from, to: to, by: sentinel), on: eventLoop)
    }

    /// Finds out whether the primary is still the one that is known, by dialling the one that is named.
    func check(on eventLoop: any EventLoop) {
        var settings = settings
        settings.locator = self
        settings.peer = .primary
        RedisConnection.dial(settings, on: eventLoop).whenSuccess { connection in
            connection.value.close(RedisError(.stopped, "the primary has been checked"))
        }
    }

    // MARK: Actions

    private func handle(
        _ event: SentinelDiscovery.Event, on eventLoop: any EventLoop, _ waiter: EventLoopPromise<RedisAddress>? = nil
    ) {
        let (actions, waiters, observers) = state.withLock { state in
            if let waiter { state.waiters.append(waiter) }
            let actions = state.discovery.handle(event)
            var waiters: [EventLoopPromise<RedisAddress>] = []
            if case .resting = state.discovery.state { swap(&waiters, &state.waiters) }
            return (actions, waiters, Array(state.observers.values))
        }
        for action in actions {
            switch action {
            case .ask(let sentinel): ask(sentinel, on: eventLoop)
            case .found(let endpoint): for waiter in waiters { waiter.succeed(service.address(of: endpoint)) }
            case .nobodyKnows(let problems): for waiter in waiters { waiter.fail(error(problems)) }
            case .moved(let endpoint):
                let address = service.address(of: endpoint)
                for observer in observers { observer.eventLoop.execute { observer.moved(address) } }
            case .complain(let problem): complain(problem)
            }
        }
    }

    private func ask(_ sentinel: Int, on eventLoop: any EventLoop) {
        let name = service.masterName
        RedisConnection.dial(sentinels[sentinel], on: eventLoop).flatMap { connection in
            let reply = eventLoop.makePromise(of: RedisValue.self)
            connection.value.send(RedisCommand("SENTINEL", "GET-MASTER-ADDR-BY-NAME", name)) {
                reply.completeWith($0.mapError { $0 as any Error })
            }
            return reply.futureResult.always { _ in
                connection.value.close(RedisError(.stopped, "the Sentinel has answered"))
            }
        }.whenComplete { result in
            self.handle(Self.event(result, masterName: name), on: eventLoop)
        }
    }

    static func event(_ result: Result<RedisValue, any Error>, masterName: String) -> SentinelDiscovery.Event {
        switch result {
        case .success(.null): return .failed("knows no master named \(masterName)")
        case .success(.array(let words)):
            guard words.count == 2, let host = words[0].text, let port = words[1].int,
                let endpoint = RedisEndpoint(host: host, port: port)
            else { fallthrough }
            return .named(endpoint)
        case .success: return .failed("answers something that is no address")
        // The text may be anybody's, and of any length.
        case .failure(let error): return .failed(String("\(RedisError(error))".prefix(300)))
        }
    }

    private func error(_ problems: [SentinelDiscovery.Problem]) -> RedisError {
        let words = problems.map { "\(service.sentinels[$0.sentinel]) \($0.words)" }.joined(separator: "; ")
        return RedisError(.unavailable, "no Sentinel knows where the primary of \(service.masterName) is: \(words)")
    }

    private func complain(_ problem: SentinelDiscovery.Problem) {
        let sentinel = "\(service.sentinels[problem.sentinel])"
        let kind = "\(sentinel) \(problem.words.prefix { $0 != " " })"
        guard let held = state.withLock({ $0.trouble.begins(Substring(kind)) }) else { return }
        logger.warning(
            "a Sentinel is of no use",
            metadata: ["sentinel": "\(sentinel)", "error": "\(problem.words)", "held_back": "\(held)"])
    }
}
