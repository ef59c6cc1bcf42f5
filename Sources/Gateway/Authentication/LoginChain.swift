/// A route's logins, tried in order.
struct LoginChain: Sendable {
    let authenticators: [any Authenticator]

    /// The first that lets in counts. Where none does, "nobody could be asked" beats "refused": a later try may succeed.
    func identify(_ request: LoginRequest) async -> Result<Identity, LoginFailure> {
        var failure = LoginFailure.refused("the route names no login")
        for authenticator in authenticators {
            do {
                return .success(try await authenticator.identify(request))
            } catch {
                if case .unavailable = failure { continue }
                failure = error
            }
        }
        return .failure(failure)
    }
}
