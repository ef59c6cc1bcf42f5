import Broker
import Foundation
import NIOCore
import NIOHTTP1

/// Converts a login's expiry to the event loop's clock.
enum LoginLifetime {
    /// When the login expires, on the monotonic clock; nil: never, or in more than a year.
    ///
    /// - Throws: `Refusal` when it has already expired.
    static func end(of identity: Identity) throws(Refusal) -> NIODeadline? {
        guard let end = identity.expiresAt else { return nil }
        let left = Double(end) - Date().timeIntervalSince1970
        guard left > 0 else { throw Refusal(status: .forbidden, message: "the login has expired", reason: .login) }
        return left < 31_536_000 ? .now() + .milliseconds(Int64(left * 1000)) : nil
    }
}
