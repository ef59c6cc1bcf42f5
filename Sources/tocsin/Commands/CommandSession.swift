import Broker
import ChannelLayer
import Logging
import NIOCore
import NIOPosix
import Operations
import RedisClient

/// Connections to `redis.hosts` for an interactive command: fails with an explanation instead of waiting forever.
struct CommandSession {
    let clients: ShardRouter<RedisClient>
    let configuration: Configuration

    var inspector: ShardedInspector {
        ShardedInspector(
            configuration.redis.router.map { shard in
                LayerInspector(client: clients.shards[shard], keys: configuration.keys(shard: shard))
            })
    }

    /// What the admin port offers, asked of Redis directly.
    ///
    /// - Throws: `CommandFailure` in place of `BackplaneError`.
    func ask<R>(_ question: (LayerAdministration) async throws(BackplaneError) -> R) async throws -> R {
        let administration = LayerAdministration(
            waitReplicas: configuration.redis.waitReplicas, logger: Logger(label: "tocsin"))
        administration.use(inspector)
        do {
            return try await question(administration)
        } catch {
            throw CommandFailure(Self.words(error))
        }
    }

    private static func words(_ error: BackplaneError) -> String {
        if error.code == .refused { return FunctionRefusal(error.message).text }
        guard error.message.contains("ERR Function not found") else { return error.message }
        return
            "Redis has no function library of this version: a gateway loads it when it starts, and so does tocsin send"
    }

    /// Runs `body` when Redis has answered.
    ///
    /// - Parameter group: what the command is about: of several Redis only its own must answer. nil: one of them must, and those
    ///   that do not are named on standard error.
    static func run<R>(
        _ options: ConfigurationOptions, about group: GroupName? = nil, _ body: (CommandSession) async throws -> R
    ) async throws -> R {
        let configuration = try options.load()
        var logger = Logger(label: "tocsin") { _ in SwiftLogNoOpLogHandler() }
        logger.logLevel = .critical
        var clients: [RedisClient] = []
        for host in configuration.redis.hosts {
            clients.append(
                try await RedisClient.start(
                    try configuration.redisConfiguration(host, clientName: "tocsin-command"),
                    on: MultiThreadedEventLoopGroup.singleton.any(), logger: logger))
        }
        let session = CommandSession(clients: ShardRouter(clients), configuration: configuration)
        let result: Result<R, any Error>
        do {
            try await session.waitUntilUp(group)
            result = .success(try await body(session))
        } catch {
            result = .failure(error)
        }
        for client in clients { await client.close() }
        return try result.get()
    }

    private func waitUntilUp(_ group: GroupName?) async throws {
        let needed = group.map { [configuration.redis.router[$0]] } ?? configuration.redis.router.shards
        var failures: [String] = []
        for shard in needed {
            do {
                try await clients.shards[shard].waitUntilUp(.seconds(3))
            } catch {
                let host = configuration.redis.hosts[shard]
                failures.append("\(error). Is Redis running at \(host)? Set --redis or TOCSIN_REDIS.")
            }
        }
        guard failures.count < needed.count else { throw CommandFailure(failures.joined(separator: "\n")) }
        for failure in failures { note(failure) }
    }
}

/// A failure, worded for the person at the terminal.
struct CommandFailure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
