/// A route's logins, tried in order until one accepts.
struct LoginChain<Login: Sendable>: Sendable {
    let logins: [Login]

    /// Returns the first success. If none accepts, `unavailable` outranks `expired`, which outranks `refused`: the failure most
    /// likely to succeed on a retry is reported.
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
    /// Precedence of a failure: the higher, the more likely the client can get in later.
    fileprivate var hope: Int {
        switch self {
        case .refused: 0
        case .expired: 1
        case .unavailable: 2
        }
    }
}
