import ArgumentParser
import Broker
import Gateway
import NIOCore
import Testing

@testable import tocsin

/// `tocsin token`.
struct TokenCommandTests {
    private static let secret = "a secret of thirty-two bytes or more"

    private func login(_ text: String) throws -> TokenLogin {
        let configuration = try Configuration(yaml: "auth: { a: { kind: jwt, \(text) } }", environment: [:])
        guard case .jwt(let login) = configuration.authentication["a"] else { throw CommandFailure("no jwt") }
        return login
    }

    private func command(_ arguments: String...) throws -> TokenCommand { try TokenCommand.parse(arguments) }

    @Test func `The claims are those that the login asks for`() throws {
        let login = try login(
            "hs256_secret: \"\(Self.secret)\", issuer: [i, j], audience: app, user_key: uid, groups_key: teams")
        let token = try command("--user", "a\"b").token(for: login, groups: ["x", "y"], from: 1000, to: 4600)
        let parts = token.split(separator: ".")
        // Base64 of {"alg":"HS256","typ":"JWT"} and of the claims.
        #expect(parts.count == 3 && parts[0] == "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9")
        let text = #"{"iss":"i","aud":"app","uid":"a\"b","teams":["x","y"],"iat":1000,"exp":4600}"#
        let expected = TokenSigner(secret: Array(Self.secret.utf8), algorithm: .hs256)?.token(ByteBuffer(string: text))
        #expect(token == expected)
    }

    @Test(arguments: [("hs384_secret", SignatureAlgorithm.hs384), ("hs512_secret", .hs512), ("secret", .hs256)])
    func `The secret's own algorithm signs`(key: String, algorithm: SignatureAlgorithm) throws {
        let token = try command("--user", "1").token(
            for: try login("\(key): \"\(Self.secret)\""), groups: [], from: 0, to: 1)
        let signer = try #require(TokenSigner(secret: Array(Self.secret.utf8), algorithm: algorithm))
        #expect(token == signer.token(ByteBuffer(string: #"{"sub":"1","iat":0,"exp":1}"#)))
    }

    @Test(arguments: ["jwks_url: https://x", "public_key_file: x"])
    func `Where only the issuer can sign, it is said so`(text: String) throws {
        let error = #expect(throws: CommandFailure.self) {
            try command("--user", "1").token(for: login(text), groups: [], from: 0, to: 1)
        }
        #expect(error?.description.hasPrefix("auth.a checks tokens with a public key") == true)
    }
}
