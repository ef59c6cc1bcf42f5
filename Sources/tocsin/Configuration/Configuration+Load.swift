import ChannelLayer
import Foundation
import NIOSSL
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
