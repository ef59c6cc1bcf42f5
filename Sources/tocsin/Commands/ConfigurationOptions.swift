import ArgumentParser
import RedisClient

/// Options of every command that talks to Redis.
struct ConfigurationOptions: ParsableArguments {
    @Option(name: .long, help: ArgumentHelp("The YAML file; without it, environment and defaults.", valueName: "file"))
    var config: String?

    @Option(name: .long, help: ArgumentHelp("Redis, for example redis://127.0.0.1:6379/3.", valueName: "url"))
    var redis: String?

    /// Loads the configuration from file, environment and `--redis`.
    ///
    /// - Throws: `ConfigurationError`.
    func load() throws -> Configuration {
        var configuration = try Configuration(file: config)
        if let redis {
            do { configuration.redis.hosts = [try RedisHost(redis)] } catch {
                throw ConfigurationError("--redis: \(error)")
            }
        }
        return configuration
    }
}
