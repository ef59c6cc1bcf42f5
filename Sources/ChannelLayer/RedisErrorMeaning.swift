import Broker
import RedisClient

/// Classifies Redis' errors.
enum RedisErrorMeaning {
    /// What the functions' own errors begin with.
    private static let ownError = "ERR tocsin: "

    /// Converts the error to a `BackplaneError`. A function's own error is its text alone, which is meant for people.
    static func told(_ error: any Error) -> BackplaneError {
        guard let error = error as? RedisError else {
            return error as? BackplaneError ?? BackplaneError(.unavailable, "\(error)")
        }
        if error.kind == "CHANNELFULL" { return BackplaneError(.full, "\(error)") }
        let isRefusal = error.code == .unexpectedAnswer || error.code == .server && !isTransient(error)
        guard isRefusal else { return BackplaneError(.unavailable, "\(error)") }
        let isOwn = error.code == .server && error.message.hasPrefix(ownError)
        return BackplaneError(.refused, isOwn ? String(error.message.dropFirst(ownError.count)) : "\(error)")
    }

    /// Whether the same command may succeed later, on this server or on its successor.
    static func isTransient(_ error: RedisError) -> Bool {
        refusesAll(error) || refusesRight(error) || FunctionLibrary.isMissing(error) || isLeaseMissing(error)
    }

    /// Whether the server currently executes no commands, or no writes, for anybody (redis.io, "Redis error prefixes").
    static func refusesAll(_ error: RedisError) -> Bool {
        refusesWrites(error) || ["LOADING", "BUSY", "TRYAGAIN", "CLUSTERDOWN"].contains(error.kind)
    }

    private static func refusesWrites(_ error: RedisError) -> Bool {
        ["READONLY", "MASTERDOWN", "NOREPLICAS", "OOM", "MISCONF"].contains(error.kind)
    }

    /// Whether the user lacks a right, which could be granted. Inside a function Redis reports this without `NOPERM`, and
    /// differently before 7.2.
    static func refusesRight(_ error: RedisError) -> Bool {
        error.kind == "NOPERM"
            || error.code == .server
                && (error.message.hasPrefix("ERR The user executing the script can't ")
                    || error.message.hasPrefix("ERR ACL failure in script"))
    }

    /// A link's error as reported to operators.
    static func words(_ error: RedisError) -> String {
        guard error.code == .server else { return "Redis is not reachable" }
        if refusesWrites(error) { return "Redis refuses writes: \(error.message)" }
        if refusesRight(error) { return "Redis refuses what a gateway needs: \(error.message)" }
        if FunctionLibrary.isMissing(error) { return "Redis has no function library: \(error.message)" }
        if error.kind == "TOONEW" { return String(error.message.dropFirst("TOONEW ".count)) }
        return "Redis refuses: \(error.message)"
    }

    /// The kind of an error, by which the log groups repeated problems.
    static func kind(_ error: RedisError) -> Substring {
        refusesRight(error) ? "NOPERM" : error.code == .server ? error.kind : "away"
    }

    /// Whether a function refused a gateway's write because it does not hold its lease (redis/README.md, "Functions").
    static func isLeaseMissing(_ error: any Error) -> Bool {
        guard let error = error as? RedisError, error.code == .server else { return false }
        return error.message.hasPrefix("ERR tocsin: the gateway does not hold its lease")
    }
}
