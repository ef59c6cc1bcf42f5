import Broker
import Logging
import NIOCore
import RedisClient

/// Says that this gateway lives, learns who else does, and helps to clean up after who does not.
///
/// Lives on the backplane's loop.
final class GatewayLease {
    private let configuration: LayerConfiguration
    private let keys: LayerKeys
    private let client: RedisClient
    private let logger: Logger
    private var timers: [RepeatedTask] = []
    private var canary = ""
    private var living: [String] = []
    private var isSweeping = false
    private var isActive = false
    /// Redis takes no writes: the lease alone goes on trying.
    var isHeld = false

    /// The living gateways, after each renewal.
    var onLiving: (([String]) -> Void)?
    /// Redis has forgotten us: a flush, a restart without persistence, or a lease that ran out while we slept.
    var onForgotten: (() -> Void)?
    /// Once a second.
    var onSecond: (() -> Void)?
    /// Time to write all memberships again.
    var onRefresh: (() -> Void)?
    var onFunctionsMissing: (() -> Void)?
    /// Redis has answered a renewal, with this error or without.
    var onAnswer: ((RedisError?) -> Void)?
    /// Shown by `tocsin gateways`.
    var fields: () -> [(String, String)] = { [] }

    init(_ configuration: LayerConfiguration, keys: LayerKeys, client: RedisClient, logger: Logger) {
        self.configuration = configuration
        self.keys = keys
        self.client = client
        self.logger = logger
    }

    func start() {
        let renewal = TimeAmount.milliseconds(Int64(configuration.leaseSeconds) * 1000 / 3)
        every(renewal) { $0.renew() }
        every(.seconds(1)) { lease in
            lease.onSecond?()
            lease.sweep()
        }
        // Gateways started together must not refresh together.
        let refresh = configuration.refresh.nanoseconds
        every(.nanoseconds(refresh - Int64.random(in: 0...max(refresh / 10, 1)))) { lease in
            lease.onRefresh?()
            // One of the fleet is enough; when it dies, the next one does it at its next turn.
            if Rendezvous.rank(of: lease.configuration.gatewayID, for: "retained", among: lease.living) == 0 {
                lease.retain(from: 0)
            }
        }
    }

    private func every(_ interval: TimeAmount, _ work: @escaping @Sendable (GatewayLease) -> Void) {
        let bound = NIOLoopBound(self, eventLoop: client.eventLoop)
        timers.append(
            client.eventLoop.scheduleRepeatedTask(initialDelay: interval, delay: interval) { _ in
                if bound.value.isActive { work(bound.value) }
            })
    }

    func resume() {
        isActive = true
        renew()
    }

    func pause() {
        isActive = false
        isSweeping = false
    }

    func stop() {
        isActive = false
        for timer in timers { timer.cancel() }
        timers = []
    }

    func renew() {
        var command = RedisCommand.fcall("gateway_lease")
        for argument in [configuration.prefix, configuration.gatewayID] { command.append(argument) }
        command.append(configuration.leaseSeconds)
        command.append(canary)
        for (field, value) in configuration.gatewayFields.map({ ($0.key, $0.value) }) + fields() {
            command.append(field)
            command.append(value)
        }
        client.submit(command).assumeIsolated().whenComplete { result in
            switch result {
            case .success(let reply):
                guard let answer = reply.array, answer.count >= 2, let canary = answer[0].text else { return }
                let wasForgotten = !self.canary.isEmpty && (canary != self.canary || answer[1].int == 0)
                self.canary = canary
                self.living = answer.dropFirst(2).compactMap(\.text)
                self.onLiving?(self.living)
                if wasForgotten { self.onForgotten?() }
                self.onAnswer?(nil)
            case .failure(let error):
                self.failed("gateway_lease", error)
                if let error = error as? RedisError, error.code == .server, !FunctionLibrary.isMissing(error) {
                    self.onAnswer?(error)
                }
            }
        }
    }

    private func sweep() {
        guard isActive, !isHeld, !isSweeping else { return }
        isSweeping = true
        var command = RedisCommand.fcall("gateway_sweep")
        command.append(configuration.prefix)
        command.append(500)
        client.submit(command).assumeIsolated().whenComplete { result in
            self.isSweeping = false
            switch result {
            case .success(let reply): if (reply.int ?? 0) >= 500 { self.sweep() }
            case .failure(let error): self.failed("gateway_sweep", error)
            }
        }
    }

    /// Refreshes the fleet's member in groups that only a retention keeps, page by page.
    private func retain(from start: Int) {
        var command = RedisCommand.fcall("gateway_retain")
        command.append(configuration.prefix)
        for number in [configuration.groupExpiry, start, 500] { command.append(number) }
        client.submit(command).assumeIsolated().whenComplete { result in
            switch result {
            case .success(let reply): if let next = reply.int, next > 0, self.isActive { self.retain(from: next) }
            case .failure(let error): self.failed("gateway_retain", error)
            }
        }
    }

    private func failed(_ function: String, _ error: any Error) {
        guard let error = error as? RedisError, error.code == .server else { return }
        if FunctionLibrary.isMissing(error) { onFunctionsMissing?() }
        // Who watches the link says that.
        guard !RedisTrouble.isTransient(error) else { return }
        logger.warning("\(function) failed", metadata: ["error": "\(error)"])
    }

    /// A gateway that was killed and started again under its old name finds what the one before has left in rosters. The
    /// new lease would keep that alive, so it goes first, like a dead gateway's.
    static func sweepPredecessor(of configuration: LayerConfiguration, by client: RedisClient) async throws {
        var release = RedisCommand.fcall("gateway_release")
        release.append(configuration.prefix)
        release.append(configuration.gatewayID)
        _ = try await client.send(release)
        var sweep = RedisCommand.fcall("gateway_sweep")
        sweep.append(configuration.prefix)
        sweep.append(500)
        while let swept = try await client.send(sweep).int, swept > 0 {}
    }

    /// Tells the others at once that this gateway goes.
    func release() -> EventLoopFuture<Void> {
        var command = RedisCommand.fcall("gateway_release")
        command.append(configuration.prefix)
        command.append(configuration.gatewayID)
        return client.submit(command).map { _ in }
    }
}

@available(*, unavailable) extension GatewayLease: Sendable {}
