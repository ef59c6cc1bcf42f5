import Foundation
import Sockets

/// Verifies the tokens of a centrifuge client's `connect` and `refresh` commands with the route's `jwt` logins.
struct CentrifugeLogin: Sendable {
    private let chain: LoginChain<JWTAuthenticator>

    /// nil when none of the route's logins takes a token.
    init?(_ authenticators: [any Authenticator]) {
        chain = LoginChain(logins: authenticators.compactMap { $0 as? JWTAuthenticator })
        if chain.logins.isEmpty { return nil }
    }

    func identify(token: String) async -> Result<Identity, LoginFailure> {
        await chain.identify { login throws(LoginFailure) in try await login.identify(token: token) }
    }
}

/// How a centrifuge client is authenticated: by its handshake, or by the token of its connect command.
struct CentrifugeEntry {
    /// nil: decided by the token.
    let access: CentrifugeAccess?
    let login: CentrifugeLogin?
    /// The rights that a login grants; nil: its claims give an invalid group name, or too many groups.
    let accessOf: (Identity) -> CentrifugeAccess?
    /// Where its rpc calls go; nil: the route has no `receive: { post: URL }`.
    let remote: Remote?

    struct Remote {
        let policy: ForwardPolicy
        /// Of the connection's URL, without the query.
        let path: String
        let client: PeerAddress
    }
}

extension Identity {
    /// Whole seconds until the login expires; nil: it does not.
    var secondsLeft: Int? { expiresAt.map { max(Int(clamping: $0) - Int(Date().timeIntervalSince1970), 0) } }
}
