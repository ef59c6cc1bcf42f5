public import Broker
public import NIOCore
public import NIOHTTP1

/// Who somebody is, as far as a login said.
public struct Identity: Sendable, Equatable {
    public var user: String
    /// Groups that the login adds to the route's.
    public var groups: [GroupName]
    /// What others may see of the user (presence): a JSON object's text.
    public var info: ByteBuffer?
    /// What else the login said, for `{claims.NAME}` in the route's groups: texts, numbers as they were written, `true` and
    /// `false`. Lists and objects are left out.
    public var claims: [String: String]
    /// When the login ends, in seconds since 1970 (UTC). nil: it does not end by itself.
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

/// What an authenticator may look at.
public struct LoginRequest: Sendable {
    public var uri: String
    public var headers: HTTPHeaders
    /// The other end of the socket: a proxy, or the client itself.
    public var peer: SocketAddress?
    /// The client itself, as `gateway.trusted_proxies` have told; nil: none are configured. Never a reason to trust a
    /// request.
    public var client: SocketAddress?
}

/// A login's outcome that is not an identity.
public enum LoginFailure: Error, Sendable, Equatable {
    /// Answered with 403. The text is for the log: it repeats nothing that the client sent.
    case refused(String)
    /// As refused; but what the client brought was right once, and a fresh one may let it in.
    case expired(String)
    /// Nobody could be asked, or the answer is of no use: answered with 503 and Retry-After. The text is for the log.
    case unavailable(String)
}

/// One kind of `auth:`. Called from any thread.
public protocol Authenticator: Sendable {
    /// - Throws: `LoginFailure`.
    func identify(_ request: LoginRequest) async throws(LoginFailure) -> Identity
    /// Headers of its own choice that a page may have to send for it, in lowercase, beside those that any page may.
    var pageHeaders: [String] { get }
    /// The user's connections were ended: discard any cached results for this user.
    func forget(_ user: String) async
}

extension Authenticator {
    public var pageHeaders: [String] { [] }

    /// Default: authenticators without a cache have nothing to invalidate.
    public func forget(_ user: String) async {}
}
