import Logging
import NIOCore
import RedisClient

/// The version of a function library.
struct LibraryVersion: Equatable, Sendable {
    let version: Int
    /// The oldest library version whose gateways can work with this library.
    let compatibleSince: Int

    init(version: Int, compatibleSince: Int) {
        self.version = version
        self.compatibleSince = compatibleSince
    }

    /// Libraries before version 7 return only their version.
    init?(_ reply: RedisValue) {
        guard let version = reply.array?.first?.int ?? reply.int else { return nil }
        self.init(version: version, compatibleSince: reply.array?.dropFirst().first?.int ?? version)
    }

    enum Verdict: Equatable { case load, use, tooNew }

    /// What a gateway that carries library version `own` does about this one in Redis.
    func verdict(own: Int) -> Verdict {
        if version < own { return .load }
        return compatibleSince > own ? .tooNew : .use
    }
}

/// The function library `redis/tocsin.lua`, which is embedded in the program.
enum FunctionLibrary {
    static var source: ByteBuffer { ByteBuffer(bytes: PackageResources.tocsin_lua) }

    /// Parsed from `local VERSION = n` in the source.
    static let version: Int = {
        let text = String(decoding: PackageResources.tocsin_lua, as: UTF8.self)
        for line in text.split(separator: "\n") where line.hasPrefix("local VERSION = ") {
            if let version = Int(line.dropFirst("local VERSION = ".count)) { return version }
        }
        fatalError("redis/tocsin.lua says no version")
    }()

    /// Loads the library if Redis has none or an older one. A newer one is kept, so that gateways of two versions can run side
    /// by side.
    ///
    /// - Throws: `RedisError`; for `NOPERM` its text has the remedy; `TOONEW` when this program is too old for the library in
    ///   Redis.
    static func ensureLoaded(_ functions: LayerFunctions, by client: RedisClient, logger: Logger) async throws {
        do {
            let loaded = try await client.call(functions.tocsinVersion)
            switch loaded.verdict(own: version) {
            case .use: return
            case .tooNew: throw tooNew(loaded)
            case .load: break
            }
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

    /// Redis' reply to FCALL when the library was never loaded, or was flushed.
    static func isMissing(_ error: RedisError) -> Bool {
        error.code == .server && error.message.hasPrefix("ERR Function not found")
    }

    /// The error for a library in Redis that is too new for this program.
    static func tooNew(_ loaded: LibraryVersion) -> RedisError {
        RedisError(
            .server,
            "TOONEW the function library in Redis has version \(loaded.version) and needs gateways of version "
                + "\(loaded.compatibleSince) or newer; this one is of version \(version): upgrade it")
    }
}
