import Broker
import Foundation
public import Logging
public import NIOCore
public import RedisClient

/// Looks for channel layers of Django that the gateways do not read: in another database of this Redis, under another prefix,
/// or of another version. Nothing else would show them: to such a layer a group of the gateways is an empty group.
public enum LayerSurvey {
    /// A layer that somebody uses, and the gateways do not.
    public struct Stranger: Sendable, Hashable {
        public var database: Int
        public var prefix: String
        /// A key or channel that shows it.
        public var example: String

        /// What it means, and what to set.
        ///
        /// - Parameter keys: the gateways'.
        public func words(beside keys: LayerKeys) -> String {
            let found = "Django's channel layer uses \(example)"
            if prefix == keys.prefix + ":" {
                return "\(found), as channels_redis 2.x does: set redis.layer to \"2\""
            }
            if prefix != keys.prefix {
                return "\(found), the gateways the prefix \"\(keys.prefix)\": set redis.prefix to \"\(prefix)\", or "
                    + "\"prefix\" in CHANNEL_LAYERS"
            }
            return "\(found) in database \(database), the gateways read database \(keys.database): end the URL in "
                + "redis.hosts with /\(database), or the one in CHANNEL_LAYERS with /\(keys.database)"
        }
    }

    /// Keys looked at in one database: a sample, as SCAN of a large one would take long.
    private static let sample = 20_000
    private static let page = 1000

    /// Connects to each database that has keys.
    ///
    /// - Throws: `RedisError`, `NOPERM` when the user may not list keys.
    public static func strangers(
        to keys: LayerKeys, _ configuration: RedisConfiguration, on eventLoop: any EventLoop, logger: Logger
    ) async throws -> [Stranger] {
        var found: Set<Stranger> = []
        var databases: Set<Int> = [keys.database]
        try await connected(configuration, on: eventLoop, logger: logger) { client in
            // Without the functions, whether it may is tried; a command that is refused would be an entry in ACL LOG.
            let trial = LayerFunctions(keys: keys).gatewayTrial(presence: false, replicas: .zero, scans: true)
            if let missing = try? await client.call(trial), missing.contains("+scan") {
                throw RedisError(.server, "NOPERM this user may not list keys (+scan)")
            }
            let info = try await client.send(RedisCommand("INFO", "keyspace")).text ?? ""
            databases.formUnion(Self.databases(info))
            let channels = try? await client.send(RedisCommand("PUBSUB", "CHANNELS", "*specific.*"))
            found.formUnion((channels?.array ?? []).compactMap(\.text).compactMap { consumer($0, beside: keys) })
        }
        for database in databases.sorted() {
            var configuration = configuration
            configuration.locator = DatabaseLocator(configuration.locator, database: database)
            try await connected(configuration, on: eventLoop, logger: logger) { client in
                found.formUnion(try await groups(in: database, by: client, beside: keys))
            }
        }
        return found.sorted { ($0.database, $0.prefix) < ($1.database, $1.prefix) }
    }

    private static func connected(
        _ configuration: RedisConfiguration, on eventLoop: any EventLoop, logger: Logger,
        _ body: (RedisClient) async throws -> Void
    ) async throws {
        let client = try await RedisClient.start(configuration, on: eventLoop, logger: logger)
        do {
            try await client.waitUntilUp(.seconds(3))
            try await body(client)
        } catch {
            await client.close()
            throw error
        }
        await client.close()
    }

    /// `db0:keys=5,expires=1,…` → 0.
    static func databases(_ info: String) -> [Int] {
        info.split(whereSeparator: \.isNewline).compactMap { line in
            guard line.hasPrefix("db"), let end = line.firstIndex(of: ":") else { return nil }
            return Int(line[line.index(line.startIndex, offsetBy: 2)..<end])
        }
    }

    /// A channel of the pub/sub layer's consumer, `PREFIXspecific.<32 hex>`, under another prefix.
    static func consumer(_ channel: String, beside keys: LayerKeys) -> Stranger? {
        guard let range = channel.range(of: "specific.") else { return nil }
        let prefix = String(channel[..<range.lowerBound]), name = channel[range.upperBound...]
        guard !prefix.hasPrefix("__key"), prefix != keys.prefix, name.count == 32, name.allSatisfy(\.isHexDigit) else {
            return nil
        }
        return Stranger(database: keys.database, prefix: prefix, example: channel)
    }

    /// One group of each prefix that has a consumer of Django in it.
    private static func groups(
        in database: Int, by client: RedisClient, beside keys: LayerKeys
    ) async throws -> [Stranger] {
        var cursor = "0", looked = 0
        var found: [String: Stranger] = [:]
        repeat {
            let reply = try await client.send(
                RedisCommand("SCAN", cursor, "MATCH", "*:group:*", "COUNT", String(page), "TYPE", "zset"))
            guard let answer = reply.array, answer.count == 2, let next = answer[0].text else { break }
            for key in (answer[1].array ?? []).compactMap(\.text) {
                guard let prefix = prefix(ofGroup: key), found[prefix] == nil,
                    (database, prefix) != (keys.database, keys.prefix),
                    try await hasConsumer(key, client)
                else { continue }
                found[prefix] = Stranger(database: database, prefix: prefix, example: key)
            }
            (cursor, looked) = (next, looked + page)
        } while cursor != "0" && looked < sample
        return Array(found.values)
    }

    /// `asgi:group:news` → `asgi`; nil: no group of channels_redis.
    static func prefix(ofGroup key: String) -> String? {
        guard let range = key.range(of: ":group:", options: .backwards),
            (try? GroupName(String(key[range.upperBound...]))) != nil
        else { return nil }
        return String(key[..<range.lowerBound])
    }

    /// Not of another fleet of gateways, and not something else that is called so.
    private static func hasConsumer(_ key: String, _ client: RedisClient) async throws -> Bool {
        let members = try await client.send(RedisCommand("ZRANGE", key, "0", "99")).array ?? []
        let names = members.compactMap(\.text)
        return names.contains { $0.hasPrefix("specific.") } && !names.contains { $0.hasPrefix("specific.tocsin-") }
    }
}
