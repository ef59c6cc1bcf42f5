import Broker
import Logging
import NIOCore
import NIOPosix
import RedisClient
import Synchronization
import TestSupport

@testable import ChannelLayer

/// An outlet that records its deliveries.
final class Catcher: Outlet {
    private let state = Mutex<[Delivery]>([])

    func deliver(_ deliveries: [Delivery]) { state.withLock { $0 += deliveries } }

    var deliveries: [Delivery] { state.withLock { $0 } }

    var publications: [Publication] {
        state.withLock { $0 }.compactMap { if case .publication(let publication) = $0 { publication } else { nil } }
    }

    var losses: [Continuity] {
        state.withLock { $0 }.compactMap { delivery in
            switch delivery {
            case .lost(_, let continuity, _): continuity
            case .mayHaveMissed: .gap
            default: nil
            }
        }
    }

    /// `GROUP JSON` of each publication, in order.
    var texts: [String] { publications.map { "\($0.group) \(String(buffer: $0.json))" } }

    /// Waits for this many messages, and returns them.
    func texts(_ count: Int) async throws -> [String] {
        try await waitUntil("\(count) messages, not \(texts)") { texts.count >= count }
        return texts
    }
}

/// The backplane of one gateway with two outlets, as for two event loops.
final class LayerHouse: Sendable {
    let backplane: RedisBackplane
    let outlets = [Catcher(), Catcher()]
    let metrics: Metrics
    private let readiness: Readiness
    private let loop: any EventLoop

    private final class Readiness: Sendable {
        private let value = Mutex<[String]>(["starting"])
        func set(_ reasons: [String]) { value.withLock { $0 = reasons } }
        var reasons: [String] { value.withLock { $0 } }
    }

    private init(_ backplane: RedisBackplane, on loop: any EventLoop, _ metrics: Metrics, _ readiness: Readiness) {
        self.backplane = backplane
        self.loop = loop
        self.metrics = metrics
        self.readiness = readiness
        backplane.attach(outlets)
    }

    /// Runs `body` with a ready backplane. Its lease is one second, so that recovery is quick.
    static func run<R>(
        _ server: RedisServer, id: String = "gw-a", policies: [GroupPolicy] = [], user: String = "",
        _ change: (inout LayerConfiguration) -> Void = { _ in }, isolation: isolated (any Actor)? = #isolation,
        _ body: (LayerHouse) async throws -> R
    ) async throws -> R {
        var redis = RedisConfiguration(
            address: try RedisAddress("redis://\(user)127.0.0.1:\(server.port)/3"), clientName: id)
        redis.backoff = Backoff(base: .milliseconds(5), ceiling: .milliseconds(50))
        redis.commandTimeout = .seconds(20)
        redis.probeInterval = .hours(1)
        var configuration = LayerConfiguration(LayerSettings(), redis: redis, gatewayID: id)
        configuration.policies = policies
        configuration.leaseSeconds = 1
        configuration.refreshInterval = .hours(1)
        change(&configuration)
        // A separate loop: whatever the backplane leaves behind must end with it.
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let loop = group.next()
        let metrics = Metrics(), readiness = Readiness()
        let backplane = try await RedisBackplane.start(
            configuration, on: loop, metrics: LayerMetrics(metrics), logger: quiet,
            onReadiness: { readiness.set($0) })
        let house = LayerHouse(backplane, on: loop, metrics, readiness)
        let result: Result<R, any Error>
        do {
            try await house.ready()
            result = .success(try await body(house))
        } catch {
            result = .failure(error)
        }
        await backplane.stop()
        try await group.shutdownGracefully()
        return try result.get()
    }

    /// Runs `body` with a backplane and redis-cli on a separate server.
    static func onServer(
        _ change: (inout LayerConfiguration) -> Void = { _ in },
        _ body: (RedisServer, LayerHouse, Cli) async throws -> Void
    ) async throws {
        try await RedisServer.run { server in
            try await Cli.run(server) { cli in
                try await run(server, change) { house in try await body(server, house, cli) }
            }
        }
    }

    /// Runs the body in one turn of the backplane's loop.
    func onLoop<R: Sendable>(_ body: @escaping @Sendable (any EventLoop) throws -> R) async throws -> R {
        try await loop.submit { [loop] in try body(loop) }.get()
    }

    /// Why the backplane is not ready.
    var reasons: [String] { readiness.reasons }
    var isReady: Bool { reasons.isEmpty }
    func ready() async throws { try await waitUntil("a ready backplane") { isReady } }
    func unready() async throws { try await waitUntil("a backplane that knows its loss") { !isReady } }

    /// Joins, and returns the connection and the group's position.
    @discardableResult
    func join(_ group: String, user: String? = nil, outlet: Int = 0) async throws -> (ConnectionID, Position) {
        let member = Member(connection: .random(), user: user)
        let position = try await backplane.groupAdd(member, to: try GroupName(group), outlet: outlet).get().position
        return (member.connection, position)
    }

    func leave(_ connection: ConnectionID, _ group: String, outlet: Int = 0) throws {
        backplane.groupDiscard(connection, from: try GroupName(group), outlet: outlet)
    }

    @discardableResult
    func send(_ json: String, to group: String) async throws -> Receipt {
        try await backplane.groupSend(ByteBuffer(string: json), to: try GroupName(group)).get()
    }

    /// The value of a metric's line, identified by its name and labels as written.
    func metric(_ series: String) -> Int? {
        let line = metrics.prometheusText.split(separator: "\n").first { $0.hasPrefix(series + " ") }
        return line.flatMap { Int($0.dropFirst(series.count + 1)) }
    }
}

let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

/// Commands of a person with redis-cli, in database 3.
struct Cli: Sendable {
    let client: RedisClient

    static func run<R>(
        _ server: RedisServer, isolation: isolated (any Actor)? = #isolation, _ body: (Cli) async throws -> R
    ) async throws -> R {
        let address = try RedisAddress("redis://127.0.0.1:\(server.port)/3")
        let client = try await RedisClient.start(
            RedisConfiguration(address: address, clientName: "cli"), on: MultiThreadedEventLoopGroup.singleton.next(),
            logger: quiet)
        let result: Result<R, any Error>
        do {
            try await client.waitUntilUp(.seconds(30))
            result = .success(try await body(Cli(client: client)))
        } catch {
            result = .failure(error)
        }
        await client.close()
        return try result.get()
    }

    @discardableResult
    func callAsFunction(_ words: String...) async throws -> RedisValue {
        var command = RedisCommand(words[0])
        for word in words.dropFirst() { command.append(word) }
        return try await client.send(command)
    }

    func texts(_ words: String...) async throws -> [String] {
        var command = RedisCommand(words[0])
        for word in words.dropFirst() { command.append(word) }
        return (try await client.send(command).array ?? []).compactMap(\.text)
    }

    /// The roster: channel → JSON.
    func roster(_ group: String) async throws -> [String: String] {
        Dictionary(try await self("HGETALL", "tocsin:roster:\(group)").pairs) { $1 }
    }
}
