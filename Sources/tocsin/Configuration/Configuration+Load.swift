import ChannelLayer
import Foundation
import Logging
import RedisClient

extension Configuration {
    /// Loads the configuration from the file of `--config`, if any, and the environment.
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
    /// - Parameters:
    ///   - host: one of `redis.hosts`, or another Redis with the same settings.
    ///   - logger: for Sentinels that are of no use.
    func redisConfiguration(
        _ host: RedisHost, clientName: String,
        logger: Logger = Logger(label: "tocsin") { _ in SwiftLogNoOpLogHandler() }
    ) throws -> RedisConfiguration {
        var settings = RedisConfiguration(host, clientName: clientName)
        settings.commandTimeout = redis.commandTimeout
        // Ignoring it would mean an unencrypted connection where encryption was intended.
        guard redis.tls == nil || settings.host.needsTLS else {
            throw ConfigurationError("redis.tls is for rediss://, and the address is \(settings.host)")
        }
        settings.serverName = redis.tls?.serverName
        let (tls, caFile) = (redis.tls ?? RedisTLS(), redis.caFile)
        settings.tls = { try tls.configuration(caFile: caFile) }
        // Fail the start if a file cannot be read. Later that only fails a connection, which is retried.
        _ = try settings.tls()
        settings.useSentinels(logger: logger)
        return settings
    }

    /// - Parameter shard: an index of `redis.hosts`.
    func keys(shard: Int) -> LayerKeys {
        LayerKeys(
            prefix: redis.prefix, database: redis.hosts[shard].database,
            shard: ShardPlace(index: shard, of: redis.hosts.count))
    }
}
