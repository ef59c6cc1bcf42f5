import AsyncHTTPClient
import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization
import TestSupport
import Testing

@testable import Gateway

/// `jwks_url`, with an issuer in this process and a clock that the tests control.
struct RemoteKeySetTests {
    private final class Issuer: Sendable {
        let seconds = Mutex<Int64>(0)
        let answer = Mutex(TinySite.Reply.answer(.ok, LoginVectors.all.key_set))
        func pass(_ seconds: Int64) { self.seconds.withLock { $0 += seconds } }
        func say(_ status: HTTPResponseStatus, _ body: String) { answer.withLock { $0 = .answer(status, body) } }
        func say(_ reply: TinySite.Reply) { answer.withLock { $0 = reply } }
    }

    private static let onlyRSA = #"{"keys":[\#(key("rsa"))]}"#

    /// The set's entry of that name, as written.
    private static func key(_ id: String) -> String {
        let entries = LoginVectors.all.key_set.split(separator: "}, {")
        return "{" + entries.first { $0.contains("\"kid\": \"\(id)\"") }!.trimmingPrefix("{\"keys\": [{") + "}"
    }

    private func run(_ body: (Issuer, TinySite, RemoteKeySet) async throws -> Void) async throws {
        let issuer = Issuer()
        try await TinySite.run({ _, _ in issuer.answer.withLock { $0 } }) { site, url async throws in
            let client = HTTPClient(eventLoopGroup: MultiThreadedEventLoopGroup.singleton)
            var configuration = RemoteKeySet.Configuration(url: url)
            configuration.timeout = .seconds(30)
            let set = RemoteKeySet(
                configuration, client: client, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
                now: { .uptimeNanoseconds(1) + .seconds(issuer.seconds.withLock { $0 }) })
            let result: Result<Void, any Error>
            do { result = .success(try await body(issuer, site, set)) } catch { result = .failure(error) }
            try await client.shutdown()
            try result.get()
        }
    }

    private func failure(_ set: RemoteKeySet, _ id: String?) async -> LoginFailure? {
        do throws(LoginFailure) {
            _ = try await set.candidates(id)
            return nil
        } catch {
            return error
        }
    }

    private static let unknown = LoginFailure.refused("the token's \"kid\" names no key of the set")

    @Test func `Tokens are checked with the key that they name`() async throws {
        try await run { _, site, set async throws in
            let vectors = LoginVectors.all
            let login = vectors.login(.remote(set))
            for (id, token) in vectors.kids {
                #expect(try await login.identify(LoginRequest(bearer: token)).user == "42", "\(id)")
            }
            for vector in vectors.accepted where ["RS256", "ES384"].contains(vector.algorithm) {
                #expect(try await login.identify(LoginRequest(bearer: vector.token)).user == "42", "without a kid")
            }
            for token in vectors.kid_refused {
                #expect(await login.outcome(LoginRequest(bearer: token)) == .failure(Self.unknown))
            }
            #expect(site.requests.count == 1)
            #expect(site.requests[0].headers["accept"] == ["application/jwk-set+json, application/json"])
        }
    }

    @Test func `All who wait share one question`() async throws {
        try await run { issuer, site, set async throws in
            issuer.say(.held(LoginVectors.all.key_set))
            try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<50 { group.addTask { try await set.candidates("rsa").count } }
                try await waitUntil("the question") { site.heldCount == 1 }
                site.release()
                for try await count in group { #expect(count == 1) }
            }
            #expect(site.requests.count == 1)
        }
    }

    @Test func `A new key is found when a token names it`() async throws {
        try await run { issuer, site, set async throws in
            issuer.say(.ok, Self.onlyRSA)
            _ = try await set.candidates("rsa")
            #expect(await failure(set, "p256") == Self.unknown)
            issuer.say(.ok, LoginVectors.all.key_set)
            issuer.pass(10)
            #expect(try await set.candidates("p256").count == 1)
            #expect(site.requests.count == 2)
        }
    }

    @Test func `Names that somebody made up cost one question in ten seconds`() async throws {
        try await run { issuer, site, set async throws in
            _ = try await set.candidates("rsa")
            for _ in 0..<3 {
                issuer.pass(10)
                for index in 0..<200 { #expect(await failure(set, "made up \(index)") == Self.unknown) }
            }
            #expect(site.requests.count == 4)
            #expect(try await set.candidates("rsa").count == 1)
        }
    }

    @Test func `Keys that are old are asked for behind the back of a login, those twice as old before it`() async throws
    {
        try await run { issuer, site, set async throws in
            issuer.say(.ok, Self.onlyRSA)
            _ = try await set.candidates("rsa")
            issuer.pass(300)
            issuer.say(.held(LoginVectors.all.key_set))
            #expect(try await set.candidates("rsa").count == 1, "it did not wait")
            try await waitUntil("the question behind its back") { site.heldCount == 1 }
            async let waiting = set.candidates("p384")
            site.release()
            #expect(try await waiting.count == 1, "a new name waits for the answer that is under way")
            issuer.say(.ok, #"{"keys":[\#(Self.key("p256"))]}"#)
            issuer.pass(600)
            #expect(await failure(set, "rsa") == Self.unknown, "a key that was withdrawn")
            #expect(try await set.candidates("p256").count == 1)
            #expect(site.requests.count == 3)
        }
    }

    @Test(arguments: [
        (HTTPResponseStatus.internalServerError, ""), (.notFound, LoginVectors.all.key_set), (.ok, "{}"),
        (.ok, #"{"keys":[]}"#), (.found, ""),
        (.ok, String(repeating: " ", count: 300 << 10) + LoginVectors.all.key_set),
    ])
    func `What is no set leaves the last good keys in place`(status: HTTPResponseStatus, body: String) async throws {
        try await run { issuer, site, set async throws in
            _ = try await set.candidates("rsa")
            issuer.say(status, body)
            for round in 1...3 {
                issuer.pass(1000)
                for _ in 0..<5 { #expect(try await set.candidates("rsa").count == 1) }
                #expect(site.requests.count >= 1 + round)
            }
            #expect(await failure(set, "p999") == Self.unknown)
        }
    }

    @Test func `Without any keys nobody can be asked, and it is tried again`() async throws {
        try await run { issuer, site, set async throws in
            issuer.say(.serviceUnavailable, "")
            for _ in 0..<20 {
                guard case .unavailable(let why) = await failure(set, "rsa") else {
                    Issue.record("not unavailable")
                    return
                }
                #expect(why == "there are no keys to check tokens with: the answer is 503")
            }
            #expect(site.requests.count == 1)
            issuer.say(.ok, LoginVectors.all.key_set)
            issuer.pass(10)
            #expect(try await set.candidates("rsa").count == 1)
        }
    }
}
