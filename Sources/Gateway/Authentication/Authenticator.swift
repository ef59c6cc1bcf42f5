public import Broker
public import NIOCore
public import NIOHTTP1

/// The result of a successful login.
public struct Identity: Sendable, Equatable {
    public var user: String
    /// Groups to join in addition to the route's.
    public var groups: [GroupName]
    /// What other clients may see of the user (presence): the text of a JSON object.
    public var info: ByteBuffer?
    /// The login's other values, for `{claims.NAME}` in the route's groups: strings, numbers as written, `true` and `false`.
    /// Lists and objects are left out.
    public var claims: [String: String]
    /// When the login expires, in seconds since 1970 (UTC). nil: it does not expire.
    public var expiresAt: Int64?

    public init(
        user: String, groups: [GroupName] = [], info: ByteBuffer? = nil, claims: [String: String] = [:],
        expiresAt: Int64? = nil
    ) {
        self.user = user
        self.groups = groups
        self.info = info
        self.claims = claims
        self.expiresAt = expiresAt
    }
}

/// The parts of a handshake that an authenticator may use.
public struct LoginRequest: Sendable {
    public var uri: String
    public var headers: HTTPHeaders
    /// The address at the other end of the socket: a proxy, or the client itself.
    public var peer: SocketAddress?
    /// The client's own address, as reported by `gateway.trusted_proxies`; nil: none are configured. Never a basis for trust.
    public var client: SocketAddress?
}

/// Why a login did not produce an identity.
public enum LoginFailure: Error, Sendable, Equatable {
    /// Answered with 403. The text is for the log and repeats nothing that the client sent.
    case refused(String)
    /// Like `refused`, but the credentials were valid once, and fresh ones may succeed.
    case expired(String)
    /// The site could not be reached or its answer was unusable: answered with 503 and Retry-After. The text is for the log.
    case unavailable(String)
}

/// One `kind:` of `auth:`. Called from any thread.
public protocol Authenticator: Sendable {
    /// - Throws: `LoginFailure`.
    func identify(_ request: LoginRequest) async throws(LoginFailure) -> Identity
    /// Custom request headers that a page may need to send for this login, in lowercase, beyond those any page may send.
    var pageHeaders: [String] { get }
    /// Called when the user's connections are revoked: discard any cached results for this user.
    func forget(_ user: String) async
}

extension Authenticator {
    public var pageHeaders: [String] { [] }

    /// Default: authenticators without a cache have nothing to invalidate.
    public func forget(_ user: String) async {}
}
