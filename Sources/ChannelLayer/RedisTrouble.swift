import Broker
import RedisClient

/// What a server's error means for who has to deal with it.
enum RedisTrouble {
    /// The error in the backplane's words.
    static func told(_ error: any Error) -> BackplaneError {
        let transient = (error as? RedisError).map { $0.code != .server || isTransient($0) } ?? true
        return BackplaneError(transient ? .unavailable : .refused, "\(error)")
    }

    /// The same command may succeed later, on this server or on its successor (redis.io, "Redis error prefixes").
    static func isTransient(_ error: RedisError) -> Bool {
        switch error.kind {
        case "LOADING", "BUSY", "READONLY", "MASTERDOWN", "NOREPLICAS", "OOM", "MISCONF", "TRYAGAIN", "CLUSTERDOWN":
            true
        default: FunctionLibrary.isMissing(error) || isLeaseMissing(error)
        }
    }

    /// The functions refuse what a gateway writes without its lease (redis/README.md, "Functions").
    static func isLeaseMissing(_ error: any Error) -> Bool {
        guard let error = error as? RedisError, error.code == .server else { return false }
        return error.message.hasPrefix("ERR tocsin: the gateway does not hold its lease")
    }
}
