import Broker
import Foundation
import NIOCore

/// `kind: jwt`: the client brings a signed token that names the user (RFC 7519).
///
/// Verified locally; the only request is for an issuer's keys, now and then. Nothing in a token is trusted before its
/// signature has been verified. Follows RFC 8725.
public struct JWTAuthenticator: Authenticator {
    public struct Configuration: Sendable {
        public var location = TokenLocation()
        /// Accepted issuers (`iss`). Empty: not checked.
        public var issuers: [String] = []
        /// Accepted audiences (`aud`); the token must name one. Empty: a token that names any audience is refused, because it was
        /// issued for somebody else (RFC 7519 section 4.1.3).
        public var audiences: [String] = []
        /// Tolerated clock difference to the issuer, in seconds.
        public var leeway = 30
        /// The claim that names the user.
        public var userKey = "sub"
        /// The claim that lists groups to join.
        public var groupsKey = "groups"

        public init() {}
    }

    /// Where the verification keys come from.
    public enum Keys: Sendable {
        case fixed([VerificationKey])
        case remote(RemoteKeySet)
    }

    private let configuration: Configuration
    private let keys: Keys
    private let now: @Sendable () -> Double

    public init(_ configuration: Configuration, keys: Keys) {
        self.init(configuration, keys: keys, now: { Date().timeIntervalSince1970 })
    }

    init(_ configuration: Configuration, keys: Keys, now: @escaping @Sendable () -> Double) {
        self.configuration = configuration
        self.keys = keys
        self.now = now
    }

    public func identify(_ request: LoginRequest) async throws(LoginFailure) -> Identity {
        try await identify(token: configuration.location.token(request))
    }

    /// Verifies a token that arrived outside the handshake, in a command of the client's protocol.
    ///
    /// - Throws: `LoginFailure`.
    public func identify(token text: String) async throws(LoginFailure) -> Identity {
        let token = try SignedToken(text)
        try await checkSignature(token)
        let claims = try token.claims()
        let end = try checkTime(claims)
        try checkParties(claims)
        guard let user = claims.user(configuration.userKey) else {
            throw .refused("the token's \"\(configuration.userKey)\" names no user")
        }
        let groups: [GroupName]
        do throws(ClaimError) {
            groups = try claims.groups(configuration.groupsKey)
        } catch {
            throw .refused("the token: \(error)")
        }
        return Identity(
            user: user, groups: groups, info: claims.oneLineObject("info"), claims: claims.scalars, expiresAt: end)
    }

    private func checkSignature(_ token: SignedToken) async throws(LoginFailure) {
        let candidates: [VerificationKey]
        switch keys {
        // A configured secret or file is a single key, perhaps with its successor, so the token's `kid` is irrelevant.
        case .fixed(let keys): candidates = keys
        case .remote(let set): candidates = try await set.candidates(token.keyID)
        }
        let fitting = candidates.filter { $0.algorithms.contains(token.algorithm) }
        guard !fitting.isEmpty else {
            let ours = Set(candidates.flatMap(\.algorithms)).map(\.rawValue).sorted().joined(separator: ", ")
            throw .refused("the token says \(token.algorithm.rawValue), the key is for \(ours)")
        }
        guard fitting.contains(where: { $0.verifies(token.signature, of: token.signed, by: token.algorithm) }) else {
            throw .refused("the token's signature is wrong")
        }
    }

    /// Checks `exp` and `nbf` (RFC 7519 sections 4.1.4 and 4.1.5).
    ///
    /// - Returns: when the login expires, leeway included; otherwise a login within the leeway would be cut off immediately.
    private func checkTime(_ claims: JSONFields) throws(LoginFailure) -> Int64? {
        let now = now(), leeway = Double(configuration.leeway)
        if claims.raw("nbf") != nil {
            guard let start = claims.date("nbf") else { throw .refused("the token's \"nbf\" is not a time") }
            guard start - leeway <= now else { throw .refused("the token is not valid yet") }
        }
        guard claims.raw("exp") != nil else { return nil }
        guard let end = claims.date("exp") else { throw .refused("the token's \"exp\" is not a time") }
        guard now < end + leeway else { throw .expired("the token has expired") }
        return Int64((end + leeway).rounded(.up))
    }

    private func checkParties(_ claims: JSONFields) throws(LoginFailure) {
        if !configuration.issuers.isEmpty {
            guard let issuer = claims.string("iss") else { throw .refused("the token names no issuer") }
            guard configuration.issuers.contains(issuer) else { throw .refused("the token is of another issuer") }
        }
        guard claims.raw("aud") != nil else {
            guard configuration.audiences.isEmpty else { throw .refused("the token names no audience") }
            return
        }
        guard let audiences = claims.string("aud").map({ [$0] }) ?? claims.texts("aud") else {
            throw .refused("the token's \"aud\" is neither a text nor a list of texts")
        }
        guard !configuration.audiences.isEmpty else {
            throw .refused("the token is for an audience, and audience: names none")
        }
        guard !Set(audiences).isDisjoint(with: configuration.audiences) else {
            throw .refused("the token is for another audience")
        }
    }
}
