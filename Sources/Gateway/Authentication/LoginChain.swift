/// A route's logins, tried in order.
struct LoginChain<Login: Sendable>: Sendable {
    let logins: [Login]

    /// The first that lets in counts. Where none does, "nobody could be asked" beats "expired", and both beat "refused": a
    /// later try may succeed.
    func identify(
        _ ask: @Sendable (Login) async throws(LoginFailure) -> Identity
    ) async -> Result<Identity, LoginFailure> {
        var failure = LoginFailure.refused("the route names no login")
        for login in logins {
            do throws(LoginFailure) {
                return .success(try await ask(login))
            } catch {
                if error.hope >= failure.hope { failure = error }
            }
        }
        return .failure(failure)
    }
}

extension LoginFailure {
    /// How likely the same client is let in later.
    fileprivate var hope: Int {
        switch self {
        case .refused: 0
        case .expired: 1
        case .unavailable: 2
        }
    }
}
