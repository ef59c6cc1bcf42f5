import Logging
import NIOCore
import NIOPosix
import RedisClient

/// A connection to Redis for a command that a person waits for: it fails with words instead of waiting for ever.
struct CommandSession {
    let client: RedisClient
    let configuration: Configuration

    /// Runs `body` with a client that has answered once.
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
            throw CommandFailure("\(error). Is Redis running at \(settings.address)? Set --redis or TOCSIN_REDIS.")
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

/// A failure in words for the person at the terminal.
struct CommandFailure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
