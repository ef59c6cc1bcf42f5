import Broker
import NIOCore
import TestSupport
import Testing

@testable import Gateway

/// `kind: jwt`, with tokens that PyJWT signed and with attackers' modifications of them.
struct TokenVectorTests {
    private let vectors = LoginVectors.all

    @Test(arguments: LoginVectors.all.accepted.indices)
    func `A token that PyJWT signed says who it is`(index: Int) async throws {
        let vector = vectors.accepted[index]
        let login = vectors.login(try vectors.key(vector.key, vector.algorithm))
        let identity = try await login.identify(LoginRequest(bearer: vector.token))
        #expect(identity.user == "42")
        #expect(identity.groups.map(\.text) == ["news", "staff.1"])
        #expect(identity.info.map { String(buffer: $0) }?.contains("Zo") == true)
        #expect(
            identity.claims["team"] == "red" && identity.claims["level"] == "3" && identity.claims["admin"] == "true")
        #expect(identity.claims["tags"] == nil && identity.claims["info"] == nil)
        let end = try #require(identity.expiresAt)
        #expect(Double(end) >= vectors.now + 30)
    }

    @Test(arguments: LoginVectors.all.refused.indices)
    func `A token that is not right is refused, and the log says why`(index: Int) async throws {
        let vector = vectors.refused[index]
        let login = vectors.login(try vectors.key(vector.key, vector.algorithm))
        let outcome = await login.outcome(LoginRequest(bearer: vector.token))
        if vector.token.isEmpty {
            #expect(outcome == .failure(.refused("there is no token")))
        } else if vector.token.hasSuffix(" ") {
            // White space around a header's value is not part of it (RFC 9110 section 5.5).
            #expect(throws: LoginFailure.refused(vector.why!)) { try SignedToken(vector.token) }
        } else {
            let why = vector.why!
            let failure: LoginFailure = why == "the token has expired" ? .expired(why) : .refused(why)
            #expect(outcome == .failure(failure), "\(vector.token)")
        }
    }

    @Test func `No reason repeats a piece of the token`() async throws {
        for vector in vectors.refused {
            let login = vectors.login(try vectors.key(vector.key, vector.algorithm))
            guard case .failure(.refused(let why)) = await login.outcome(LoginRequest(bearer: vector.token)) else {
                continue
            }
            for piece in vector.token.split(separator: ".") where piece.count > 3 { #expect(!why.contains(piece)) }
            #expect(!why.contains(vectors.secret))
        }
    }

    @Test func `Every algorithm refuses every token of the others`() async throws {
        for right in vectors.accepted.prefix(13) {
            for other in vectors.accepted.prefix(13) where other.algorithm != right.algorithm {
                let login = vectors.login(try vectors.key(right.key, right.algorithm))
                let outcome = await login.outcome(LoginRequest(bearer: other.token))
                #expect(
                    outcome
                        == .failure(.refused("the token says \(other.algorithm), the key is for \(right.algorithm)")))
            }
        }
    }

    @Test func `A token of a megabyte is refused before anything of it is looked at`() async throws {
        let login = vectors.login(try vectors.key("secret", "HS256"))
        let clock = ContinuousClock()
        for token in [
            String(repeating: "a", count: 1 << 20), String(repeating: "a.", count: 1 << 19),
            vectors.accepted[0].token + String(repeating: "A", count: 1 << 20),
        ] {
            // The lowest of several times, because other tests run at the same time.
            var least = Duration.seconds(60)
            for _ in 0..<5 {
                let start = clock.now
                #expect(
                    await login.outcome(LoginRequest(bearer: token))
                        == .failure(.refused("the token has more than 8192 bytes")))
                least = min(least, clock.now - start)
            }
            #expect(least < .milliseconds(500))
        }
    }

    @Test func `The first of two secrets' successor is taken too`() async throws {
        let old = VerificationKey(secret: Array("an older secret, as long as it must be".utf8), algorithms: [.hs256])
        let login = vectors.login(.fixed([old, try vectors.key("secret", "HS256")]))
        #expect(try await login.identify(LoginRequest(bearer: vectors.accepted[0].token)).user == "42")
    }
}

/// Tokens with random changes: nothing crashes, and nothing unsigned is accepted.
struct TokenFuzzTests {
    private let vectors = LoginVectors.all

    @Test(arguments: ["HS256", "RS256", "PS384", "ES256", "ES512", "EdDSA"])
    func `A changed token is never let in`(algorithm: String) async throws {
        let vector = try #require(vectors.accepted.first { $0.algorithm == algorithm })
        let login = vectors.login(try vectors.key(vector.key, vector.algorithm))
        var chance = SeededGenerator(seed: UInt64(algorithm.utf8.reduce(0) { $0 * 31 + Int($1) }))
        let alphabet = Array("ABCxyz019-_.=+/ \n\0é{}\"".utf8)
        for _ in 0..<3000 {
            var bytes = Array(vector.token.utf8)
            for _ in 0..<Int.random(in: 1...4, using: &chance) {
                let at = Int.random(in: 0..<bytes.count, using: &chance)
                switch Int.random(in: 0..<5, using: &chance) {
                case 0: bytes[at] = alphabet.randomElement(using: &chance)!
                case 1: bytes.insert(alphabet.randomElement(using: &chance)!, at: at)
                case 2: bytes.remove(at: at)
                case 3: bytes.removeSubrange(at..<min(bytes.count, at + 20))
                default: bytes.insert(contentsOf: bytes[at..<min(bytes.count, at + 20)], at: at)
                }
                if bytes.isEmpty { bytes = [0x2e] }
            }
            let text = String(decoding: bytes, as: UTF8.self)
            guard text != vector.token else { continue }
            guard (try? SignedToken(text)) != nil else { continue }
            if case .success = await login.outcome(LoginRequest(bearer: text)) { Issue.record("let in: \(text)") }
        }
    }

    @Test func `Random claims under a right signature crash nothing`() async throws {
        let key = VerificationKey(secret: Array(vectors.secret.utf8), algorithms: [.hs256])
        let signer = try #require(TokenSigner(secret: Array(vectors.secret.utf8), algorithm: .hs256))
        let login = vectors.login(key) {
            $0.issuers = []; $0.audiences = []
        }
        let values = [
            "null", "true", "1", "-0", "1e400", "-1e5", "\"x\"", "\"\\ud800\"", "\"\"", "[]", "{}", "[[[]]]", "NaN",
            "[\"a\",\"b\"]", "{\"a\":{\"b\":1}}", "9223372036854775807", "99999999999999999999", "0.1", "\"é\"",
        ]
        for name in ["sub", "exp", "nbf", "aud", "iss", "groups", "info"] {
            for value in values {
                let claims = ByteBuffer(string: "{\"sub\":\"42\",\"\(name)\":\(value)}")
                _ = await login.outcome(LoginRequest(bearer: signer.token(claims)))
            }
        }
    }
}
