import Broker
import Logging
import NIOCore
import RedisClient

/// What the lease reports to its owner, on the backplane's loop.
protocol GatewayLeaseDelegate: AnyObject {
    /// Redis renewed the lease.
    ///
    /// - Parameters:
    ///   - living: the names of the gateways whose leases have not expired, this one included.
    ///   - policies: the version of the policies in force.
    func leaseRenewed(living: [String], policies: Int)
    /// Redis lost this gateway's lease: a flush, a restart without persistence, or a process that slept past its lease.
    func leaseForgotten()
    /// The memberships are due to be written again.
    func leaseRefreshIsDue()
    /// Another process holds the lease of this gateway's name.
    func leaseTaken(by other: NameHolder)
    /// A sweep skipped these keys, which have another type than ours.
    func leaseFoundForeign(_ keys: [String])
    /// Redis answered a renewal, with an error or without.
    func leaseAnswered(_ error: RedisError?)
    /// The fields of `tocsin gateways` that change while the gateway runs.
    var leaseFields: [(String, String)] { get }
}

/// Renews this gateway's lease, learns which gateways live, and sweeps what dead gateways left behind.
///
/// Lives on the backplane's loop.
final class GatewayLease {
    private let configuration: LayerConfiguration
    private let functions: LayerFunctions
    private let client: RedisClient
    private let logger: Logger
    /// Connections, or groups, per call.
    private static let batch = 500
    private var timers: [RepeatedTask] = []
    private var canary = ""
    private var living: [String] = []
    private var isSweeping = false
    private var isActive = false
    private var isStopped = false
    /// Set while Redis refuses writes: only the lease keeps being renewed.
    var isHeld = false

    /// The process and connection that hold the lease.
    private(set) var holder: LeaseHolder

    weak var delegate: (any GatewayLeaseDelegate)?

    init(_ configuration: LayerConfiguration, functions: LayerFunctions, client: RedisClient, logger: Logger) {
        self.configuration = configuration
        self.functions = functions
        self.client = client
        self.logger = logger
        holder = LeaseHolder(gateway: configuration.gatewayID)
    }

    /// Call when a new connection for commands is established.
    func linkUp() { holder.linkUp() }

    func start() {
        let renewal = TimeAmount.milliseconds(Int64(configuration.leaseSeconds) * 1000 / 3)
        every(renewal) { $0.renew() }
        // Randomized, so that gateways started together do not refresh together.
        let refresh = configuration.refresh.nanoseconds
        every(.nanoseconds(refresh - Int64.random(in: 0...max(refresh / 10, 1)))) { lease in
            lease.delegate?.leaseRefreshIsDue()
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
        isStopped = true
        for timer in timers { timer.cancel() }
        timers = []
    }

    /// Renews the lease. Until that has succeeded, nobody can join over a new connection.
    func renew() {
        guard !isStopped else { return }
        client.call(leaseCall()) { result in
            switch result {
            case .success(let answer): self.renewed(answer)
            case .failure(let error):
                self.failed("gateway_lease", error)
                if error.code == .server, !FunctionLibrary.isMissing(error) { self.delegate?.leaseAnswered(error) }
            }
        }
    }

    private func renewed(_ answer: LeaseAnswer) {
        switch answer {
        case .renewed(let canary, let wasHeld, let policies, let living):
            let wasForgotten = !self.canary.isEmpty && (canary != self.canary || !wasHeld)
            self.canary = canary
            self.living = living
            delegate?.leaseRenewed(living: living, policies: policies)
            if wasForgotten { delegate?.leaseForgotten() }
            delegate?.leaseAnswered(nil)
        case .taken(let other): delegate?.leaseTaken(by: other)
        }
    }

    func leaseCall() -> FunctionCall<LeaseAnswer> {
        functions.gatewayLease(
            configuration.gatewayID, seconds: configuration.leaseSeconds, canary: canary,
            fields: configuration.gatewayFields.map { ($0.key, $0.value) } + holder.fields
                + (delegate?.leaseFields ?? []))
    }

    /// Sweeps connections of dead gateways and expired retentions. Called once a second.
    func sweep() {
        guard isActive, !isHeld, !isSweeping else { return }
        isSweeping = true
        client.call(functions.gatewaySweep(limit: Self.batch)) { result in
            self.isSweeping = false
            switch result {
            case .success(let answer):
                self.report(answer.foreign)
                if answer.number >= Self.batch { self.sweep() }
            case .failure(let error): self.failed("gateway_sweep", error)
            }
        }
    }

    private func report(_ foreign: [String]) { if !foreign.isEmpty { delegate?.leaseFoundForeign(foreign) } }

    /// Refreshes the fleet's member in groups that only a retention keeps, page by page.
    private func retain(from start: Int) {
        let call = functions.gatewayRetain(expiry: configuration.groupExpiry, from: start, limit: Self.batch)
        client.call(call) { result in
            switch result {
            case .success(let answer):
                self.report(answer.foreign)
                if answer.number > 0, self.isActive { self.retain(from: answer.number) }
            case .failure(let error): self.failed("gateway_retain", error)
            }
        }
    }

    private func failed(_ function: String, _ error: RedisError) {
        // Transient errors are reported by the link's owner.
        guard error.code == .unexpectedAnswer || error.code == .server && !RedisErrorMeaning.isTransient(error) else {
            return
        }
        logger.warning("\(function) failed", metadata: ["error": "\(error)"])
    }

    /// Claims the name; called once, before anything else is written under it. If a gateway was killed and restarted under its
    /// old name, the new lease would keep its old roster entries alive, so they are swept first, like a dead gateway's.
    ///
    /// - Parameter renewal: the first renewal.
    /// - Returns: the process that has the name, if it is another one; and keys of a wrong type that were skipped.
    /// - Throws: `RedisError`.
    static func claim(
        with renewal: FunctionCall<LeaseAnswer>, for holder: LeaseHolder, _ functions: LayerFunctions,
        by client: RedisClient
    ) async throws -> (other: NameHolder?, foreign: [String]) {
        if case .taken(let other) = try await client.call(renewal) { return (other, []) }
        _ = try await client.call(functions.gatewayRelease(holder.gateway, process: holder.process))
        var foreign: Set<String> = []
        while true {
            let swept = try await client.call(functions.gatewaySweep(limit: batch))
            foreign.formUnion(swept.foreign)
            if swept.number == 0 { break }
        }
        return (nil, foreign.sorted())
    }

    /// Gives the lease back, so that other gateways notice immediately.
    func release() -> EventLoopFuture<Void> {
        client.call(functions.gatewayRelease(holder.gateway, process: holder.process)).map { _ in }
    }
}

@available(*, unavailable) extension GatewayLease: Sendable {}
