import Logging
import NIOCore
import NIOPosix
import RedisClient

/// A connection to Redis for an interactive command: fails with an explanation instead of waiting forever.
struct CommandSession {
    let client: RedisClient
    let configuration: Configuration

    /// Runs `body` with a client that has received an answer from Redis.
    static func run<R>(_ options: ConfigurationOptions, _ body: (CommandSession) async throws -> R) async throws -> R {
        let configuration = try options.load()
        let settings = try configuration.redisConfiguration(clientName: "tocsin-command")
        var logger = Logger(label: "tocsin") { _ in SwiftLogNoOpLogHandler() }
        logger.logLevel = .critical
        let client = try await RedisClient.start(
            settings, on: MultiThreadedEventLoopGroup.singleton.any(), logger: logger)
        do {
            try await client.waitUntilUp(.seconds(3))
        } catch {
            await client.close()
            throw CommandFailure("\(error). Is Redis running at \(settings.host)? Set --redis or TOCSIN_REDIS.")
        }
        do {
            let result = try await body(CommandSession(client: client, configuration: configuration))
            await client.close()
            return result
        } catch {
            await client.close()
            throw error
        }
    }
}

/// A failure, worded for the person at the terminal.
struct CommandFailure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
