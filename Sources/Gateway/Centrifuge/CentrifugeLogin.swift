import Foundation

/// The tokens that a centrifuge client may bring with its `connect` and `refresh` commands: those of the route's `jwt` logins.
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

/// How a centrifuge client gets in: by its handshake, or by the token of its first command.
struct CentrifugeEntry {
    /// nil: the token decides.
    let access: CentrifugeAccess?
    let login: CentrifugeLogin?
    /// What a login lets the client do; nil: its claims make no group's name, or too many.
    let accessOf: (Identity) -> CentrifugeAccess?
}

extension Identity {
    /// Whole seconds until the login ends; nil: it does not.
    var secondsLeft: Int? { expiresAt.map { max(Int(clamping: $0) - Int(Date().timeIntervalSince1970), 0) } }
}
