import Broker
import RedisClient

/// What a server's error means for who has to deal with it.
enum RedisTrouble {
    /// The error in the backplane's words.
    static func told(_ error: any Error) -> BackplaneError {
        guard let error = error as? RedisError else {
            return error as? BackplaneError ?? BackplaneError(.unavailable, "\(error)")
        }
        if error.kind == "CHANNELFULL" { return BackplaneError(.full, "\(error)") }
        let isRefusal = error.code == .unexpectedAnswer || error.code == .server && !isTransient(error)
        return BackplaneError(isRefusal ? .refused : .unavailable, "\(error)")
    }

    /// The same command may succeed later, on this server or on its successor.
    static func isTransient(_ error: RedisError) -> Bool {
        refusesAll(error) || refusesRight(error) || FunctionLibrary.isMissing(error) || isLeaseMissing(error)
    }

    /// Nobody's command would be carried out now, whatever it is about (redis.io, "Redis error prefixes").
    static func refusesAll(_ error: RedisError) -> Bool {
        refusesWrites(error) || ["LOADING", "BUSY", "TRYAGAIN", "CLUSTERDOWN"].contains(error.kind)
    }

    private static func refusesWrites(_ error: RedisError) -> Bool {
        ["READONLY", "MASTERDOWN", "NOREPLICAS", "OOM", "MISCONF"].contains(error.kind)
    }

    /// This user may not do this: rights that can be given. Inside a function Redis says so without `NOPERM`, in other
    /// words before 7.2.
    static func refusesRight(_ error: RedisError) -> Bool {
        error.kind == "NOPERM"
            || error.code == .server
                && (error.message.hasPrefix("ERR The user executing the script can't ")
                    || error.message.hasPrefix("ERR ACL failure in script"))
    }

    /// What a person is told about a link.
    static func words(_ error: RedisError) -> String {
        guard error.code == .server else { return "Redis is not reachable" }
        if refusesWrites(error) { return "Redis refuses writes: \(error.message)" }
        if refusesRight(error) { return "Redis refuses what a gateway needs: \(error.message)" }
        if FunctionLibrary.isMissing(error) { return "Redis has no function library: \(error.message)" }
        if error.kind == "TOONEW" { return String(error.message.dropFirst("TOONEW ".count)) }
        return "Redis refuses: \(error.message)"
    }

    /// What troubles of one kind have in common, for the log.
    static func kind(_ error: RedisError) -> Substring {
        refusesRight(error) ? "NOPERM" : error.code == .server ? error.kind : "away"
    }

    /// The functions refuse what a gateway writes without its lease (redis/README.md, "Functions").
    static func isLeaseMissing(_ error: any Error) -> Bool {
        guard let error = error as? RedisError, error.code == .server else { return false }
        return error.message.hasPrefix("ERR tocsin: the gateway does not hold its lease")
    }
}
