import Logging
import NIOCore
import RedisClient

/// Makes Redis ring when an inbox is written: `notify-keyspace-events` with K, z and l.
enum Doorbell {
    static let needed: [Character] = ["K", "z", "l"]

    /// The setting with what is needed added; nil when nothing is missing. `A` stands for all classes.
    static func completed(_ setting: String) -> String? {
        let missing = needed.filter { flag in
            !setting.contains(flag) && !(flag != "K" && setting.contains("A"))
        }
        return missing.isEmpty ? nil : setting + String(missing)
    }

    /// - Returns: true when Redis rings; false when the inboxes must be polled, with the reason in the log.
    static func install(by client: RedisClient, logger: Logger) async -> Bool {
        do {
            let reply = try await client.send(RedisCommand("CONFIG", "GET", "notify-keyspace-events"))
            guard let setting = reply.pairs.first?.1 else { throw RedisError(.server, "CONFIG GET answered nothing") }
            guard let completed = completed(setting) else { return true }
            _ = try await client.send(RedisCommand("CONFIG", "SET", "notify-keyspace-events", completed))
            return true
        } catch {
            logger.warning(
                "Redis does not ring when Django's core layer writes; polling every 20 ms instead. Set notify-keyspace-events to include Kzl",
                metadata: ["error": "\(error)"])
            return false
        }
    }
}
