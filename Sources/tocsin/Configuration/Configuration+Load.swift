import ChannelLayer
import Foundation
import RedisClient

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
            address: try address ?? redis.address, clientName: clientName)
        settings.commandTimeout = redis.commandTimeout
        // Silence would be a connection in the clear that was meant to be encrypted.
        guard redis.tls == nil || settings.address.isEncrypted else {
            throw ConfigurationError("redis.tls is for rediss://, and the address is \(settings.address)")
        }
        settings.serverName = redis.tls?.serverName
        let (tls, caFile) = (redis.tls ?? RedisTLS(), redis.caFile)
        settings.tls = { try tls.configuration(caFile: caFile) }
        // A file that cannot be read stops the start. Later it stops a connection, which is tried again.
        _ = try settings.tls()
        return settings
    }

    var keys: LayerKeys {
        get throws { LayerKeys(prefix: redis.prefix, database: try redis.address.database) }
    }
}
