public import AsyncHTTPClient
public import Logging
public import NIOCore
import NIOHTTP1

/// The keys that an issuer publishes at a URL (`jwks_url`), fetched on demand and cached.
///
/// - Keys older than `refresh` are fetched again in the background; keys older than twice `refresh` make logins wait.
/// - A token with an unknown key id (`kid`) triggers a fetch immediately, because issuers rotate keys, but at most one per
///   `pause`, so invented ids cost nothing.
/// - Concurrent callers share one request. If it fails, the last good keys stay, and the next attempt is after `pause`.
public actor RemoteKeySet {
    public struct Configuration: Sendable {
        public var url: String
        /// Those allowed; empty: each key's own `alg`.
        public var algorithms: Set<SignatureAlgorithm> = []
        /// Age at which keys are fetched again.
        public var refresh: TimeAmount = .minutes(5)
        /// Minimum time between two requests.
        public var pause: TimeAmount = .seconds(10)
        public var timeout: TimeAmount = .seconds(3)

        public init(url: String) { self.url = url }
    }

    private static let maximumAnswer = 256 << 10

    private let configuration: Configuration
    private let client: HTTPClient
    private let logger: Logger
    private let now: @Sendable () -> NIODeadline
    private var keys: [VerificationKey] = []
    private var fetchedAt: NIODeadline?
    private var askedAt: NIODeadline?
    private var underWay: Task<Void, Never>?
    private var trouble = "they were never asked for"

    public init(_ configuration: Configuration, client: HTTPClient, logger: Logger) {
        self.init(configuration, client: client, logger: logger, now: { .now() })
    }

    init(
        _ configuration: Configuration, client: HTTPClient, logger: Logger, now: @escaping @Sendable () -> NIODeadline
    ) {
        self.configuration = configuration
        self.client = client
        self.logger = logger
        self.now = now
    }

    /// The keys that may have signed a token: those with its key id, or all if it has none.
    ///
    /// - Throws: `LoginFailure.unavailable` if no keys have been fetched yet, `.refused` for an unknown key id.
    func candidates(_ id: String?) async throws(LoginFailure) -> [VerificationKey] {
        let age = fetchedAt.map { now() - $0 }
        if let age, age < configuration.refresh * 2 {
            if age >= configuration.refresh { _ = ask() }
        } else {
            await ask()?.value
        }
        if let found = named(id) { return found }
        await ask()?.value
        if let found = named(id) { return found }
        guard fetchedAt != nil else { throw .unavailable("there are no keys to check tokens with: \(trouble)") }
        throw .refused("the token's \"kid\" names no key of the set")
    }

    private func named(_ id: String?) -> [VerificationKey]? {
        let found = id.map { id in keys.filter { $0.id == id } } ?? keys
        return found.isEmpty ? nil : found
    }

    /// Starts a fetch, or returns the one in progress. nil when it is too early to ask again.
    private func ask() -> Task<Void, Never>? {
        if let underWay { return underWay }
        let now = now()
        if let askedAt, now - askedAt < configuration.pause { return nil }
        askedAt = now
        let task = Task {
            await fetch()
            underWay = nil
        }
        underWay = task
        return task
    }

    private func fetch() async {
        do {
            keys = try await Self.fetch(configuration, client)
            fetchedAt = now()
        } catch {
            trouble = "\(error)"
            logger.warning(
                "the keys of tokens could not be read",
                metadata: ["why": "\(error)", "kept": "\(keys.count)"])
        }
    }

    /// Fetches the keys once, without caching; for commands that check whether it works.
    public static func fetch(_ configuration: Configuration, _ client: HTTPClient) async throws -> [VerificationKey] {
        var question = HTTPClientRequest(url: configuration.url)
        question.headers.add(name: "Accept", value: "application/jwk-set+json, application/json")
        let (status, body) = try await client.answer(
            to: question, timeout: configuration.timeout, maximum: maximumAnswer)
        guard status == .ok else { throw KeyError("the answer is \(status.code)") }
        do throws(KeyError) {
            return try JSONWebKeys.read(body, algorithms: configuration.algorithms)
        } catch {
            throw KeyError("the answer \(error)")
        }
    }
}
