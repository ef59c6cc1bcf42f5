import Broker
import Foundation
import NIOCore
import NIOHTTP1
import Testing

@testable import Gateway

/// Written by make_login_vectors.py with PyJWT, Django and zlib.
struct LoginVectors: Decodable {
    struct Token: Decodable, Sendable {
        var key: String
        var algorithm: String
        var token: String
        var why: String?
    }

    struct Cookie: Decodable, Sendable {
        var cookie: String
        var userId: String?
        var why: String?
    }

    struct Sessions: Decodable {
        var secret: String
        var accepted: [Cookie]
        var refused: [Cookie]
        var unreadable: [Cookie]
        var stored: [String: String]
    }

    struct Deflated: Decodable {
        var deflated: String
        var bytes: Int
        var sha256: String
    }

    var now: Double
    var secret: String
    var keys: [String: String]
    var pkcs1: String
    var accepted: [Token]
    var refused: [Token]
    var key_set: String
    var kids: [String: String]
    var kid_refused: [String]
    var sessions: Sessions
    var deflated: [Deflated]

    static let all = try! JSONDecoder().decode(
        LoginVectors.self, from: Data(PackageResources.login_vectors_json))

    /// The key of that name, for one algorithm.
    func key(_ name: String, _ algorithm: String) throws -> VerificationKey {
        let algorithms: Set = [try #require(SignatureAlgorithm(rawValue: algorithm))]
        if name == "secret" { return VerificationKey(secret: Array(secret.utf8), algorithms: algorithms) }
        return try VerificationKey(pem: #require(keys[name]), algorithms: algorithms)
    }

    /// The login that the vectors' tokens were made for.
    func login(
        _ key: VerificationKey, _ change: (inout JWTAuthenticator.Configuration) -> Void = { _ in }
    ) -> JWTAuthenticator {
        login(.fixed([key]), change)
    }

    func login(
        _ keys: JWTAuthenticator.Keys, _ change: (inout JWTAuthenticator.Configuration) -> Void = { _ in }
    ) -> JWTAuthenticator {
        var configuration = JWTAuthenticator.Configuration()
        configuration.issuers = ["https://issuer.example"]
        configuration.audiences = ["gateway"]
        change(&configuration)
        let now = now
        return JWTAuthenticator(configuration, keys: keys, now: { now })
    }
}

extension LoginRequest {
    init(uri: String = "/", _ headers: [(String, String)] = []) {
        self.init(uri: uri, headers: HTTPHeaders(headers), peer: nil)
    }

    init(bearer token: String) { self.init([("Authorization", "Bearer \(token)")]) }
}

extension Authenticator {
    /// The identity of a token, or why it was refused.
    func outcome(_ request: LoginRequest) async -> Result<Identity, LoginFailure> {
        do throws(LoginFailure) { return .success(try await identify(request)) } catch { return .failure(error) }
    }
}
