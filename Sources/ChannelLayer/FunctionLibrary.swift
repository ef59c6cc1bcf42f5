import Logging
import NIOCore
import RedisClient

/// The function library `redis/tocsin.lua`, which the program carries in itself.
enum FunctionLibrary {
    static var source: ByteBuffer { ByteBuffer(bytes: PackageResources.tocsin_lua) }

    /// Reads `local VERSION = n` of the source.
    static let version: Int = {
        let text = String(decoding: PackageResources.tocsin_lua, as: UTF8.self)
        for line in text.split(separator: "\n") where line.hasPrefix("local VERSION = ") {
            if let version = Int(line.dropFirst("local VERSION = ".count)) { return version }
        }
        fatalError("redis/tocsin.lua says no version")
    }()

    /// Loads the library where Redis has none or an older one; a newer one is left alone, so that gateways of two
    /// versions can run side by side.
    ///
    /// - Throws: `RedisError`; for `NOPERM` its words say what to do.
    static func ensureLoaded(by client: RedisClient, logger: Logger) async throws {
        do {
            if let loaded = try await client.send(.fcall("tocsin_version")).int, loaded >= version { return }
        } catch let error as RedisError where isMissing(error) {
            // not there yet: load it
        }
        var load = RedisCommand("FUNCTION", "LOAD", "REPLACE")
        load.append(source)
        do {
            _ = try await client.send(load)
        } catch let error as RedisError where error.kind == "NOPERM" {
            throw RedisError(
                .server,
                "\(error.message) — load it as another user: cat redis/tocsin.lua | redis-cli -x FUNCTION LOAD REPLACE")
        }
        logger.notice("loaded the function library", metadata: ["version": "\(version)"])
    }

    /// Redis answers so to FCALL when the library was never loaded, or was flushed.
    static func isMissing(_ error: RedisError) -> Bool {
        error.code == .server && error.message.hasPrefix("ERR Function not found")
    }
}
