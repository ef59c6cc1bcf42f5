import Broker
import Foundation
import NIOCore
import NIOHTTP1

/// How long a login lets its connection stay.
enum LoginLifetime {
    /// When the login ends, on the monotonic clock; nil: it does not end, or in more than a year.
    ///
    /// - Throws: `Refusal` when it has ended.
    static func end(of identity: Identity) throws(Refusal) -> NIODeadline? {
        guard let end = identity.expiresAt else { return nil }
        let left = Double(end) - Date().timeIntervalSince1970
        guard left > 0 else { throw Refusal(status: .forbidden, message: "the login has expired", reason: .login) }
        return left < 31_536_000 ? .now() + .milliseconds(Int64(left * 1000)) : nil
    }
}
