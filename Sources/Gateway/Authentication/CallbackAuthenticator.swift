public import AsyncHTTPClient
import Crypto
import Broker
public import NIOCore
import NIOHTTP1

/// `kind: callback`: asks the site who the user is, passing on the browser's cookies.
///
/// 200 with `{"user": …}` accepts, 401 and 403 refuse; any other status, or a time-out, means unavailable. Concurrent
/// handshakes with the same credentials share one request (singleflight), and a success is cached briefly, so a page that
/// reconnects or opens several sockets costs the site one request.
public actor CallbackAuthenticator: Authenticator {
    public struct Configuration: Sendable {
        public var url: String
        /// Lowercase names of the handshake's headers that are passed on.
        public var forward: [String] = ["cookie", "authorization"]
        public var timeout: TimeAmount = .seconds(3)
        /// The key of the site's JSON answer that names the user.
        public var userKey = "user"
        /// How long a successful answer is cached. Zero: not at all.
        public var cache: TimeAmount = .seconds(2)

        public init(url: String) { self.url = url }
    }

    private static let maximumAnswer = 64 << 10
    private static let maximumCached = 10_000

    private let configuration: Configuration
    private let client: HTTPClient
    private var cached: [SHA256Digest: (identity: Identity, until: NIODeadline)] = [:]
    private var underWay: [SHA256Digest: Task<Result<Identity, LoginFailure>, Never>] = [:]

    public init(_ configuration: Configuration, client: HTTPClient) {
        self.configuration = configuration
        self.client = client
    }

    public func identify(_ request: LoginRequest) async throws(LoginFailure) -> Identity {
        let key = digest(of: request)
        if let hit = cached[key], hit.until > .now() { return hit.identity }
        let task: Task<Result<Identity, LoginFailure>, Never>
        if let running = underWay[key] {
            task = running
        } else {
            task = Task {
                let result = await ask(request)
                underWay[key] = nil
                if case .success(let identity) = result, configuration.cache > .zero { keep(identity, key) }
                return result
            }
            underWay[key] = task
        }
        return try await task.value.get()
    }

    public nonisolated var pageHeaders: [String] { configuration.forward }

    public func forget(_ user: String) { cached = cached.filter { $0.value.identity.user != user } }

    private func keep(_ identity: Identity, _ key: SHA256Digest) {
        if cached.count >= Self.maximumCached {
            let now = NIODeadline.now()
            cached = cached.filter { $0.value.until > now }
            if cached.count >= Self.maximumCached { cached.removeAll() }
        }
        cached[key] = (identity, .now() + configuration.cache)
    }

    /// Cache key. Cookies are secrets, so only a hash of the credentials is kept.
    private func digest(of request: LoginRequest) -> SHA256Digest {
        var hash = SHA256()
        func add(_ text: String) {
            withUnsafeBytes(of: text.utf8.count) { hash.update(bufferPointer: $0) }
            hash.update(data: Array(text.utf8))
        }
        add(request.uri)
        for name in configuration.forward + ["origin"] {
            add(name)
            for value in Self.values(name, of: request) { add(value) }
        }
        return hash.finalize()
    }

    /// Cookie headers are joined into one; any other header is passed on as received.
    private static func values(_ name: String, of request: LoginRequest) -> [String] {
        name == "cookie" ? [RequestCookies.joined(request.headers)].compactMap { $0 } : request.headers[name]
    }

    private func ask(_ request: LoginRequest) async -> Result<Identity, LoginFailure> {
        var question = HTTPClientRequest(url: configuration.url)
        for name in configuration.forward + ["origin"] {
            for value in Self.values(name, of: request) { question.headers.add(name: name, value: value) }
        }
        question.headers.add(name: "X-Forwarded-For", value: Self.forwardedFor(request))
        question.headers.add(name: "X-Original-URI", value: request.uri)
        question.headers.add(name: "Accept", value: "application/json")
        do {
            let (status, body) = try await client.answer(
                to: question, timeout: configuration.timeout, maximum: Self.maximumAnswer)
            switch status {
            case .ok: return parse(body)
            case .unauthorized, .forbidden: return .failure(.refused("the site answered \(status.code)"))
            default: return .failure(.unavailable("the site answered \(status.code)"))
            }
        } catch {
            return .failure(.unavailable("the site did not answer: \(error)"))
        }
    }

    /// X-Forwarded-For. If trusted proxies are configured, only the client's address: sites differ in which end they read.
    private static func forwardedFor(_ request: LoginRequest) -> String {
        if let client = request.client?.ipAddress { return client }
        let peer = [request.peer?.ipAddress].compactMap { $0 }
        return (request.headers["x-forwarded-for"] + peer).joined(separator: ", ")
    }

    private func parse(_ body: ByteBuffer) -> Result<Identity, LoginFailure> {
        guard let answer = try? JSONFields(body) else {
            return .failure(.unavailable("the site's answer is not a JSON object"))
        }
        // A numeric id is used exactly as the site wrote it.
        guard let user = answer.user(configuration.userKey) else {
            return .failure(.unavailable("the site's answer has no \"\(configuration.userKey)\""))
        }
        let groups: [GroupName]
        do throws(ClaimError) {
            groups = try answer.groups("groups")
        } catch {
            return .failure(.unavailable("the site's answer: \(error)"))
        }
        var end: Int64?
        if answer.raw("expires_at") != nil {
            guard let date = answer.date("expires_at") else {
                return .failure(
                    .unavailable("the \"expires_at\" of the site's answer is not a number of seconds since 1970"))
            }
            end = Int64(date.rounded(.up))
        }
        let info = answer.oneLineObject("info")
        return .success(Identity(user: user, groups: groups, info: info, expiresAt: end))
    }
}
