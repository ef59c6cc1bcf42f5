import ArgumentParser
import ChannelLayer
import Foundation
import Logging
import NIOCore
import NIOPosix
import NIOSSL
import RedisClient

/// Options of every command that talks to Redis.
struct CommonOptions: ParsableArguments {
    @Option(name: .long, help: ArgumentHelp("The YAML file; without it, environment and defaults.", valueName: "file"))
    var config: String?

    @Option(name: .long, help: ArgumentHelp("Redis, for example redis://127.0.0.1:6379/3.", valueName: "url"))
    var redis: String?

    /// File, environment and `--redis`.
    ///
    /// - Throws: `ConfigurationError`.
    func load() throws -> Configuration {
        var configuration = try Configuration(file: config)
        if let redis {
            do { _ = try RedisAddress(redis) } catch { throw ConfigurationError("--redis: \(error)") }
            configuration.redis.hosts = [redis]
        }
        return configuration
    }
}

extension Configuration {
    /// Reads the file that `--config` names, if any, and the environment.
    ///
    /// - Throws: `ConfigurationError`.
    init(file: String?) throws {
        var yaml = ""
        if let file {
            do {
                yaml = try String(contentsOfFile: file, encoding: .utf8)
            } catch {
                throw ConfigurationError("cannot read --config \(file): \(error.localizedDescription)")
            }
        }
        do {
            self = try Configuration(yaml: yaml, environment: ProcessInfo.processInfo.environment)
        } catch {
            throw ConfigurationError(file.map { "\($0): \(error)" } ?? "\(error)")
        }
    }

    /// - Throws: `ConfigurationError` when a file that it names cannot be read.
    ///
    /// - Parameter address: another Redis than the broker's, reached by the same rules.
    func redisConfiguration(clientName: String, address: RedisAddress? = nil) throws -> RedisConfiguration {
        var settings = RedisConfiguration(
            address: try address ?? RedisAddress(redis.hosts[0]), clientName: clientName)
        settings.commandTimeout = redis.commandTimeout
        if let tls = redis.tls {
            // Silence would be a connection in the clear that was meant to be encrypted.
            guard settings.address.isEncrypted else {
                throw ConfigurationError("redis.tls is for rediss://, and the address is \(settings.address)")
            }
            settings.tls = try tls.configuration()
            settings.serverName = tls.serverName
        }
        if let file = redis.caFile {
            do {
                settings.tls.trustRoots = .certificates(try NIOSSLCertificate.fromPEMFile(file))
            } catch {
                throw ConfigurationError("redis.ca_file: cannot read certificates from \(file): \(error)")
            }
        }
        return settings
    }

    var keys: LayerKeys {
        get throws { LayerKeys(prefix: redis.prefix, database: try RedisAddress(redis.hosts[0]).database) }
    }
}

/// A connection to Redis for a command that a person waits for: it fails with words instead of waiting for ever.
struct CommandSession {
    let client: RedisClient
    let configuration: Configuration

    /// Runs `body` with a client that has answered once.
    static func run<R>(_ options: CommonOptions, _ body: (CommandSession) async throws -> R) async throws -> R {
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
