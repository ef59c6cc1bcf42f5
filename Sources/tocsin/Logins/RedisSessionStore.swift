import Gateway
import NIOCore
import RedisClient

/// Reads sessions from a Django site's Redis cache (`django.core.cache.backends.redis.RedisCache`). Never writes.
///
/// Source: Django 5.2, `django/contrib/sessions/backends/cache.py` for the prefix, `django/core/cache/backends/base.py` for
/// `KEY_PREFIX:VERSION:KEY`.
struct RedisSessionStore: SessionStore {
    let client: RedisClient
    let prefix: String
    let version: Int

    func key(_ id: String) -> String { "\(prefix):\(version):django.contrib.sessions.cache\(id)" }

    func session(_ id: String) async throws -> StoredSession? {
        // Pipelined and answered in order; a session that expires between the two counts as expired.
        let value = client.submit(RedisCommand("GET", key(id)))
        let left = client.submit(RedisCommand("TTL", key(id)))
        guard let bytes = try await value.get().bytes else { return nil }
        let seconds = try await left.get().int ?? -2
        guard seconds != -2 else { return nil }
        return StoredSession(bytes: bytes, secondsLeft: seconds < 0 ? nil : Int64(seconds))
    }
}
