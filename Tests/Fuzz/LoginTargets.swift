import Broker
import Crypto
import Foundation
import NIOCore
import NIOHTTP1

@testable import Gateway

/// Sessions and tokens with valid signatures, which a fuzzer could not guess.
extension FuzzTargets {
    private static let now = 1_790_000_000.0
    private static let secret = "a secret that sites and issuers share"

    /// A session's JSON, stored in a site's cache and in a signed cookie; and the bytes as a cookie.
    @Sendable static func sessions(_ input: [UInt8]) {
        let stored = outcome { () async throws(LoginFailure) in
            let login = DjangoSessionAuthenticator(
                .store(OneSession(bytes: ByteBuffer(bytes: input))), cookie: "s", userKey: "_auth_user_id", now: { now }
            )
            return try await login.identify(cookie("abcdefgh"))
        }
        let payload = Base64.url.encode(input) + ":1x8elk"
        let signed = session(payload + ":" + djangoSignature(payload))
        check(stored)
        check(signed)
        if case (.success(let one), .success(let other)) = (stored, signed), payload.utf8.count < 8000 {
            precondition(one.user == other.user && one.claims == other.claims, "the same session is two")
        }
        // With a different last character the signature is that of another text.
        precondition(!isSuccess(session(payload + ":" + djangoSignature(payload + "0"))), "a wrong signature was taken")
        let text = String(decoding: input, as: UTF8.self)
        precondition(!isSuccess(session(text)), "a signature was guessed")
        check(session(text + ":" + djangoSignature(text)))
    }

    private static func cookie(_ value: String) -> LoginRequest {
        LoginRequest(uri: "/", headers: ["Cookie": "s=\(value)"])
    }

    private static func session(_ value: String) -> Result<Identity, LoginFailure> {
        outcome { () async throws(LoginFailure) in
            try await DjangoSessionAuthenticator(
                .signedCookies(secrets: ["newer", secret], age: 1_209_600), cookie: "s", userKey: "_auth_user_id",
                now: { now }
            ).identify(cookie(value))
        }
    }

    private static func djangoSignature(_ text: String) -> String {
        let salt = "django.contrib.sessions.backends.signed_cookies"
        let key = SymmetricKey(data: SHA256.hash(data: Array((salt + "signer" + secret).utf8)))
        return Base64.url.encode(HMAC<SHA256>.authenticationCode(for: Array(text.utf8), using: key))
    }

    private struct OneSession: SessionStore {
        var bytes: ByteBuffer
        func session(_ id: String) async throws -> StoredSession? { StoredSession(bytes: bytes, secondsLeft: 60) }
    }

    /// A token's header and claims, one per line, which are then signed; and the bytes as a token.
    @Sendable static func jwt(_ input: [UInt8]) {
        let parts = input.split(separator: UInt8(ascii: "\n"), maxSplits: 1, omittingEmptySubsequences: false)
        let signed = Base64.url.encode(parts[0]) + "." + Base64.url.encode(parts.count > 1 ? parts[1] : [])
        let key = SymmetricKey(data: Array(secret.utf8))
        let signature = Array(HMAC<SHA256>.authenticationCode(for: Array(signed.utf8), using: key))
        let token = "\(signed).\(Base64.url.encode(signature))"
        let identity = login(token, .hs256)
        check(identity)
        if case .success(let identity) = identity {
            precondition(identity.expiresAt.map { Double($0) > now } ?? true, "the token has expired")
        }
        precondition(!isSuccess(login(token, .hs512)), "the token chose the algorithm")
        for (index, byte) in signature.enumerated() where index % 8 == input.count % 8 {
            var other = signature
            other[index] = byte ^ 1
            precondition(
                !isSuccess(login("\(signed).\(Base64.url.encode(other))", .hs256)), "a wrong signature was taken")
        }
        let text = String(decoding: input, as: UTF8.self)
        precondition(!isSuccess(login(text, .hs256)), "a signature was guessed")
        for text in [token, text] {
            guard let parsed = try? SignedToken(text) else { continue }
            let written = String(decoding: parsed.signed, as: UTF8.self) + "." + Base64.url.encode(parsed.signature)
            precondition(written == text, "one token has two spellings")
        }
    }

    private static func login(_ token: String, _ algorithm: SignatureAlgorithm) -> Result<Identity, LoginFailure> {
        var configuration = JWTAuthenticator.Configuration()
        configuration.issuers = ["https://issuer.example"]
        configuration.audiences = ["gateway"]
        let key = VerificationKey(secret: Array(secret.utf8), algorithms: [algorithm])
        let login = JWTAuthenticator(configuration, keys: .fixed([key]), now: { now })
        return outcome { () async throws(LoginFailure) in try await login.identify(token: token) }
    }

    /// A set of keys, or one in PEM form: an accepted key is a public one, and accepts no wrong signature.
    @Sendable static func jwks(_ input: [UInt8]) {
        var keys = (try? JSONWebKeys.read(ByteBuffer(bytes: input), algorithms: [])) ?? []
        precondition(keys.count <= JSONWebKeys.maximumKeys)
        if let key = try? VerificationKey(pem: String(decoding: input, as: UTF8.self), algorithms: []) {
            keys.append(key)
        }
        for key in keys {
            precondition(
                !key.algorithms.isEmpty && key.algorithms.allSatisfy { $0.family != .hmac }, "a secret for all")
            for algorithm in key.algorithms {
                for length in [0, 64, 256] {
                    let signature = [UInt8](repeating: 1, count: length)
                    precondition(!key.verifies(signature, of: input[...], by: algorithm), "a wrong signature was taken")
                }
            }
        }
        let one = (try? JSONWebKeys.read(ByteBuffer(bytes: input), algorithms: [.es256])) ?? []
        precondition(one.allSatisfy { $0.algorithms == [.es256] }, "an algorithm that was not allowed")
    }

    /// Checks an outcome: an identity has a user, and a failure repeats nothing.
    private static func check(_ outcome: Result<Identity, LoginFailure>) {
        switch outcome {
        case .success(let identity):
            precondition(!identity.user.isEmpty && identity.claims["_auth_user_hash"] == nil)
            if let info = identity.info { check(isOneLine: info) }
        case .failure(.refused(let text)), .failure(.expired(let text)), .failure(.unavailable(let text)):
            precondition(text.utf8.count < 120 && !text.contains(secret), "\(text)")
        }
    }

    private static func isSuccess(_ outcome: Result<Identity, LoginFailure>) -> Bool {
        if case .success = outcome { true } else { false }
    }
}

/// Runs a login that never suspends, immediately and on the caller's thread.
private func outcome(
    _ login: @escaping @Sendable () async throws(LoginFailure) -> Identity
) -> Result<Identity, LoginFailure> {
    final class Place { var result: Result<Identity, LoginFailure>? }
    // libFuzzer has one thread, and the task has finished when its initializer returns.
    nonisolated(unsafe) let place = Place()
    Task(executorPreference: CallersThread()) {
        do throws(LoginFailure) { place.result = .success(try await login()) } catch { place.result = .failure(error) }
    }
    return place.result!
}

private final class CallersThread: TaskExecutor {
    func enqueue(_ job: consuming ExecutorJob) { job.runSynchronously(on: asUnownedTaskExecutor()) }
}
