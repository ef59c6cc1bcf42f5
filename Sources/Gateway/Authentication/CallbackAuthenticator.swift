public import AsyncHTTPClient
import Crypto
import Broker
import Foundation
import NIOCore
import NIOHTTP1

/// `kind: callback`: the site itself is asked, with the browser's own cookies, who this is.
///
/// 200 with `{"user": …}` lets in, 401 and 403 refuse; anything else, or no answer in time, is "unavailable". Handshakes
/// with the same credentials at the same time share one question (singleflight), and an answer is kept briefly: a page
/// that reconnects, or opens several sockets, costs the site one request.
public actor CallbackAuthenticator: Authenticator {
    public struct Configuration: Sendable {
        public var url: String
        /// Headers of the handshake that are passed on, in lower case.
        public var forward: [String] = ["cookie", "authorization"]
        public var timeout: TimeAmount = .seconds(3)
        /// The key of the answer that names the user.
        public var userKey = "user"
        /// How long a yes is kept. Zero: not at all.
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

    private func keep(_ identity: Identity, _ key: SHA256Digest) {
        if cached.count >= Self.maximumCached {
            let now = NIODeadline.now()
            cached = cached.filter { $0.value.until > now }
            if cached.count >= Self.maximumCached { cached.removeAll() }
        }
        cached[key] = (identity, .now() + configuration.cache)
    }

    /// Cookies are secrets: only a hash of what was asked is kept.
    private func digest(of request: LoginRequest) -> SHA256Digest {
        var hash = SHA256()
        func add(_ text: String) {
            withUnsafeBytes(of: text.utf8.count) { hash.update(bufferPointer: $0) }
            hash.update(data: Array(text.utf8))
        }
        add(request.uri)
        for name in configuration.forward + ["origin"] {
            add(name)
            for value in request.headers[name] { add(value) }
        }
        return hash.finalize()
    }

    private func ask(_ request: LoginRequest) async -> Result<Identity, LoginFailure> {
        var question = HTTPClientRequest(url: configuration.url)
        for name in configuration.forward + ["origin"] {
            for value in request.headers[name] { question.headers.add(name: name, value: value) }
        }
        question.headers.add(name: "X-Forwarded-For", value: Self.forwardedFor(request))
        question.headers.add(name: "X-Original-URI", value: request.uri)
        question.headers.add(name: "Accept", value: "application/json")
        do {
            let deadline = ContinuousClock.now + .nanoseconds(configuration.timeout.nanoseconds)
            let answer = try await client.execute(question, timeout: configuration.timeout)
            let body = try await Self.collect(answer.body, until: deadline)
            switch answer.status {
            case .ok: return parse(body)
            case .unauthorized, .forbidden: return .failure(.refused("the site answered \(answer.status.code)"))
            default: return .failure(.unavailable("the site answered \(answer.status.code)"))
            }
        } catch {
            return .failure(.unavailable("the site did not answer: \(error)"))
        }
    }

    /// Where trusted proxies have told who the client is, the client alone: the site may read the list from either end.
    private static func forwardedFor(_ request: LoginRequest) -> String {
        let peer = request.peer?.ipAddress, client = request.client?.ipAddress
        if let client, client != peer { return client }
        return (request.headers["x-forwarded-for"] + [peer].compactMap { $0 }).joined(separator: ", ")
    }

    /// The client's own time-out ends with the head of the answer; the body has what is left of it.
    private static func collect(
        _ body: HTTPClientResponse.Body, until deadline: ContinuousClock.Instant
    ) async throws -> ByteBuffer {
        try await withThrowingTaskGroup(of: ByteBuffer.self) { group in
            group.addTask { try await body.collect(upTo: maximumAnswer) }
            group.addTask {
                try await Task.sleep(until: deadline)
                throw HTTPClientError.deadlineExceeded
            }
            defer { group.cancelAll() }
            return try await group.next()!
        }
    }

    private func parse(_ body: ByteBuffer) -> Result<Identity, LoginFailure> {
        guard let answer = try? JSONFields(body) else {
            return .failure(.unavailable("the site's answer is no JSON object"))
        }
        // A number is taken as the text that the site wrote.
        let user = answer.string(configuration.userKey) ?? answer.number(configuration.userKey) ?? ""
        guard !user.isEmpty else {
            return .failure(.unavailable("the site's answer has no \"\(configuration.userKey)\""))
        }
        var groups: [GroupName] = []
        if let list = answer.raw("groups") {
            let data = Data(list.readableBytesView)
            guard let names = try? JSONDecoder().decode([String]?.self, from: data) ?? [] else {
                return .failure(.unavailable("the \"groups\" of the site's answer are no list of names"))
            }
            groups = names.compactMap { try? GroupName($0) }
            guard groups.count == names.count else {
                return .failure(.unavailable("the site's answer names a group that is no group's name"))
            }
        }
        // One line, whatever the site's spelling: it is passed on inside of other JSON.
        let info = answer.raw("info").flatMap { try? JSONText.object($0, removing: []).text }
        return .success(Identity(user: user, groups: groups, info: info))
    }
}
