import Broker
import Foundation
import NIOCore
import TestSupport
import Testing

@testable import Gateway

/// `kind: django_session`, with cookies that Django signed.
struct DjangoSessionTests {
    private let vectors = LoginVectors.all

    private func login(
        _ secrets: [String]? = nil, age: Int = 1_209_600, userKey: String = "userId"
    ) -> DjangoSessionAuthenticator {
        let now = vectors.now
        return DjangoSessionAuthenticator(
            .signedCookies(secrets: secrets ?? [vectors.sessions.secret, "the key before"], age: age),
            cookie: "sessionid", userKey: userKey, now: { now })
    }

    private func request(_ cookie: String) -> LoginRequest {
        LoginRequest([("Cookie", "csrftoken=x; sessionid=\(cookie)")])
    }

    @Test(arguments: LoginVectors.all.sessions.accepted.indices)
    func `A session that Django signed says who it is`(index: Int) async throws {
        let vector = vectors.sessions.accepted[index]
        let identity = try await login().identify(request(vector.cookie))
        #expect(identity.user == vector.userId)
        #expect(identity.claims["userId"] == vector.userId)
        #expect(identity.claims["_auth_user_hash"] == nil)
        #expect(identity.expiresAt.map { Double($0) >= vectors.now } == true)
    }

    @Test(arguments: LoginVectors.all.sessions.refused.indices)
    func `A session that is not right is refused, and the log says why`(index: Int) async {
        let vector = vectors.sessions.refused[index]
        #expect(await login().outcome(request(vector.cookie)) == .failure(.refused(vector.why!)), "\(vector.cookie)")
    }

    @Test(arguments: LoginVectors.all.sessions.unreadable.indices)
    func `A session that the site writes in another way is the operator's matter`(index: Int) async {
        let vector = vectors.sessions.unreadable[index]
        #expect(await login().outcome(request(vector.cookie)) == .failure(.unavailable(vector.why!)))
    }

    @Test func `Django's own login names the user by default, and only it`() async throws {
        let full = vectors.sessions.accepted[1].cookie
        let now = vectors.now
        let login = DjangoSessionAuthenticator(
            .signedCookies(secrets: [vectors.sessions.secret], age: 60), cookie: "sessionid", userKey: "_auth_user_id",
            now: { now })
        let identity = try await login.identify(request(full))
        #expect(identity.user == "42" && identity.expiresAt == Int64(now) + 60)
        #expect(
            await login.outcome(request(vectors.sessions.accepted[0].cookie))
                == .failure(.refused("nobody is logged in in this session")))
    }

    @Test func `A key that is no more among the secrets signs nothing`() async {
        #expect(
            await login(["the key before"]).outcome(request(vectors.sessions.accepted[0].cookie))
                == .failure(.refused("the session cookie's signature is wrong")))
    }

    @Test func `A session cookie is found behind another Cookie header`() async throws {
        let vector = vectors.sessions.accepted[0]
        let lines = [("Cookie", "theme=dark"), ("Cookie", "sessionid=\(vector.cookie)")]
        let identity = try await login().identify(LoginRequest(lines))
        #expect(identity.user == vector.userId)
    }

    @Test func `Without a cookie, or with one that is too long, nobody is there`() async {
        #expect(await login().outcome(LoginRequest()) == .failure(.refused("there is no cookie sessionid")))
        #expect(await login().outcome(request("")) == .failure(.refused("there is no cookie sessionid")))
        #expect(
            await login().outcome(request(String(repeating: "a", count: 8193)))
                == .failure(.refused("the session cookie has more than 8192 bytes")))
    }

    @Test func `A changed cookie is never let in`() async {
        var chance = SeededGenerator(seed: 3)
        let alphabet = Array("ABCxyz019-_.:=+/".utf8)
        for vector in vectors.sessions.accepted.prefix(3) {
            for _ in 0..<3000 {
                var bytes = Array(vector.cookie.utf8)
                let at = Int.random(in: 0..<bytes.count, using: &chance)
                switch Int.random(in: 0..<3, using: &chance) {
                case 0: bytes[at] = alphabet.randomElement(using: &chance)!
                case 1: bytes.insert(alphabet.randomElement(using: &chance)!, at: at)
                default: bytes.remove(at: at)
                }
                let text = String(decoding: bytes, as: UTF8.self)
                guard text != vector.cookie else { continue }
                if case .success = await login().outcome(request(text)) { Issue.record("let in: \(text)") }
            }
        }
    }

    @Test(arguments: [("0", 0), ("A", 10), ("a", 36), ("z", 61), ("10", 62), ("1x8elk", 1_790_000_000)])
    func `Times are in base 62`(text: String, value: Int64) {
        #expect(DjangoSigner.base62(text.utf8) == value)
        for bad in ["", "-1", "é", "00000000000", " 1"] { #expect(DjangoSigner.base62(bad.utf8) == nil) }
    }
}

/// `engine: cache`: sessions in a store.
struct StoredSessionTests {
    private struct Store: SessionStore {
        var answer: @Sendable (String) throws -> StoredSession?
        func session(_ id: String) async throws -> StoredSession? { try answer(id) }
    }

    private struct Away: Error, CustomStringConvertible { let description = "nobody answers" }

    private func outcome(
        _ id: String, _ answer: @escaping @Sendable (String) throws -> StoredSession?
    ) async -> Result<Identity, LoginFailure> {
        let login = DjangoSessionAuthenticator(
            .store(Store(answer: answer)), cookie: "s", userKey: "_auth_user_id", now: { 1000 })
        return await login.outcome(LoginRequest([("Cookie", "s=\(id)")]))
    }

    private static let id = "4zk7qu3z26cmlfkz6r9h33d861v75yyh"

    @Test func `A stored session says who it is, and for how long`() async throws {
        let json = try #require(LoginVectors.all.sessions.stored["json"])
        let identity = try await outcome(Self.id) { id in
            #expect(id == Self.id)
            return StoredSession(bytes: ByteBuffer(string: json), secondsLeft: 60)
        }.get()
        #expect(identity.user == "42" && identity.expiresAt == 1060)
        #expect(identity.claims["name"] == "Zoë 😀" && identity.claims["_auth_user_hash"] == nil)
        let endless = await outcome(Self.id) { _ in StoredSession(bytes: ByteBuffer(string: json), secondsLeft: nil) }
        #expect(try endless.get().expiresAt == nil)
    }

    @Test func `A session that is not there is refused; a store that is away is not asked in vain`() async {
        #expect(await outcome(Self.id) { _ in nil } == .failure(.refused("there is no such session")))
        #expect(
            await outcome(Self.id) { _ in throw Away() }
                == .failure(.unavailable("the sessions cannot be read: nobody answers")))
    }

    @Test func `A pickle is never read`() async throws {
        let pickle = try #require(Data(base64Encoded: LoginVectors.all.sessions.stored["pickle"]!))
        #expect(
            await outcome(Self.id) { _ in StoredSession(bytes: ByteBuffer(bytes: pickle), secondsLeft: 1) }
                == .failure(
                    .unavailable(
                        "the session is a Python pickle, which is never read: let the site write JSON (docs/configuration.md)"
                    )))
    }

    @Test(arguments: [
        "short", "../../../etc/passwd", "ABCDEFGHIJ", "abcdefgh*", "abcdefgh:1", "éééééééé",
        String(repeating: "a", count: 65),
    ])
    func `What is no session's id is never looked for`(id: String) async {
        #expect(
            await outcome(id) { _ in
                Issue.record("asked for \(id)")
                return nil
            } == .failure(.refused("the session cookie is not a session id")))
    }
}
