import Broker
import NIOCore
import Testing

@testable import Gateway

/// The checks of a token with a valid signature.
struct TokenRuleTests {
    private static let secret = Array("a secret for tests that is long enough".utf8)
    private static let now = 1_790_000_000.0

    private func outcome(
        _ claims: String, _ change: (inout JWTAuthenticator.Configuration) -> Void = { _ in }
    ) async -> Result<Identity, LoginFailure> {
        var configuration = JWTAuthenticator.Configuration()
        change(&configuration)
        let login = JWTAuthenticator(
            configuration, keys: .fixed([VerificationKey(secret: Self.secret, algorithms: [.hs256])]), now: { Self.now }
        )
        let token = TokenSigner(secret: Self.secret, algorithm: .hs256)!.token(ByteBuffer(string: claims))
        return await login.outcome(LoginRequest(bearer: token))
    }

    @Test func `A token without an end, an audience or groups is a login without them`() async {
        let identity = Identity(user: "42", claims: ["sub": "42"])
        #expect(await outcome(#"{"sub":"42"}"#) == .success(identity))
        #expect(await outcome(#"{"sub":"42","exp":null,"aud":null,"nbf":null,"groups":null}"#) == .success(identity))
    }

    @Test(arguments: [
        ("42", "42"), (#""42""#, "42"), ("12345678901234567890", "12345678901234567890"), ("4.2", "4.2"),
        (#""\u0034\u0032""#, "42"),
    ])
    func `A number is taken as the text that was written`(value: String, user: String) async throws {
        #expect(try await outcome("{\"sub\":\(value)}").get().user == user)
    }

    @Test func `Other names for user and groups`() async throws {
        let change = { (configuration: inout JWTAuthenticator.Configuration) in
            configuration.userKey = "user_id"
            configuration.groupsKey = "https://site.example/groups"
        }
        let claims = #"{"sub":"no","user_id":7,"groups":["no"],"https://site.example/groups":["a","b"]}"#
        let identity = try await outcome(claims, change).get()
        #expect(identity.user == "7" && identity.groups.map(\.text) == ["a", "b"])
        #expect(await outcome(#"{"sub":"42"}"#, change) == .failure(.refused("the token's \"user_id\" names no user")))
    }

    @Test func `An end counts from its second on, later by the leeway`() async throws {
        let end = { (leeway: Int, exp: Double) in
            await outcome("{\"sub\":\"1\",\"exp\":\(exp)}") { $0.leeway = leeway }
        }
        #expect(await end(0, Self.now) == .failure(.expired("the token has expired")))
        #expect(try await end(0, Self.now + 0.5).get().expiresAt == Int64(Self.now) + 1)
        #expect(try await end(30, Self.now - 29).get().expiresAt == Int64(Self.now) + 1)
        #expect(await end(30, Self.now - 30) == .failure(.expired("the token has expired")))
    }

    @Test func `A beginning counts from its second on, earlier by the leeway`() async {
        let begin = { (leeway: Int, nbf: Double) in
            await outcome("{\"sub\":\"1\",\"nbf\":\(nbf)}") { $0.leeway = leeway }
        }
        guard case .success = await begin(0, Self.now), case .success = await begin(30, Self.now + 30) else {
            Issue.record("refused")
            return
        }
        #expect(await begin(0, Self.now + 1) == .failure(.refused("the token is not valid yet")))
        #expect(await begin(30, Self.now + 31) == .failure(.refused("the token is not valid yet")))
    }

    @Test func `A token for somebody is refused where nobody is named`() async {
        #expect(
            await outcome(#"{"sub":"1","aud":"app"}"#)
                == .failure(.refused("the token is for an audience, and audience: names none")))
    }

    @Test func `One of several issuers and audiences is enough`() async throws {
        let change = { (configuration: inout JWTAuthenticator.Configuration) in
            configuration.issuers = ["a", "b"]
            configuration.audiences = ["c", "d"]
        }
        for claims in [#"{"sub":"1","iss":"b","aud":"d"}"#, #"{"sub":"1","iss":"a","aud":["x","c"]}"#] {
            #expect(try await outcome(claims, change).get().user == "1")
        }
    }

    @Test func `Info that is no object is left out`() async throws {
        #expect(try await outcome(#"{"sub":"1","info":"x"}"#).get().info == nil)
        let info = try await outcome("{\"sub\":\"1\",\"info\":{\n\"a\": 1}}").get().info
        #expect(info.map { String(buffer: $0) } == #"{"a": 1}"#)
    }

    @Test func `A login with a secret signs what it accepts, in all three algorithms`() async throws {
        for algorithm in [SignatureAlgorithm.hs256, .hs384, .hs512] {
            let key = VerificationKey(secret: Self.secret, algorithms: [algorithm])
            let login = JWTAuthenticator(.init(), keys: .fixed([key]), now: { Self.now })
            let token = try #require(TokenSigner(secret: Self.secret, algorithm: algorithm))
                .token(ByteBuffer(string: #"{"sub":"42"}"#))
            #expect(try await login.identify(LoginRequest(bearer: token)).user == "42")
            #expect(try await login.identify(token: token).user == "42")
        }
        #expect(TokenSigner(secret: Self.secret, algorithm: .rs256) == nil)
    }
}
