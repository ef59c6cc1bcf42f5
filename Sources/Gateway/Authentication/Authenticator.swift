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

    public init(user: String, groups: [GroupName] = [], info: ByteBuffer? = nil) {
        self.user = user
        self.groups = groups
        self.info = info
    }
}

/// What an authenticator may look at.
public struct LoginRequest: Sendable {
    public var uri: String
    public var headers: HTTPHeaders
    /// The other end of the socket: a proxy, or the client itself.
    public var peer: SocketAddress?
    /// The client itself, as far as `gateway.trusted_proxies` have told; else the same as `peer`. Never a reason to trust a
    /// request.
    public var client: SocketAddress?
}

/// A login's outcome that is no identity.
public enum LoginFailure: Error, Sendable, Equatable {
    /// Answered with 403. The text is for the log.
    case refused(String)
    /// Nobody could be asked: answered with 503 and Retry-After. The text is for the log.
    case unavailable(String)
}

/// One kind of `auth:`. Called from any thread.
public protocol Authenticator: Sendable {
    /// - Throws: `LoginFailure`.
    func identify(_ request: LoginRequest) async throws(LoginFailure) -> Identity
}
