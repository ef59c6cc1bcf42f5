import Foundation

/// The tokens that a centrifuge client may bring with its `connect` and `refresh` commands: those of the route's `jwt` logins.
struct CentrifugeLogin: Sendable {
    private let authenticators: [JWTAuthenticator]

    /// nil when none of the route's logins takes a token.
    init?(_ authenticators: [any Authenticator]) {
        self.authenticators = authenticators.compactMap { $0 as? JWTAuthenticator }
        if self.authenticators.isEmpty { return nil }
    }

    /// The first that lets in counts; "expired" and "nobody could be asked" beat "refused", since a later try may succeed.
    func identify(token: String) async -> Result<Identity, LoginFailure> {
        var failure = LoginFailure.refused("no login takes a token")
        for authenticator in authenticators {
            do {
                return .success(try await authenticator.identify(token: token))
            } catch {
                if case .refused = failure { failure = error }
            }
        }
        return .failure(failure)
    }
}

/// How a centrifuge client gets in: by its handshake, or by the token of its first command.
struct CentrifugeEntry {
    /// nil: the token decides.
    let access: CentrifugeAccess?
    let login: CentrifugeLogin?
    /// What a login lets the client do; nil: its claims make no group's name.
    let accessOf: (Identity) -> CentrifugeAccess?
}

extension Identity {
    /// Whole seconds until the login ends; nil: it does not.
    var secondsLeft: Int? { expiresAt.map { max(Int(clamping: $0) - Int(Date().timeIntervalSince1970), 0) } }
}
