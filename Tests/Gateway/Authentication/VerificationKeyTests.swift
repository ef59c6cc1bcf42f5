import Foundation
import NIOCore
import Testing

@testable import Gateway

/// Public keys in files and in sets.
struct VerificationKeyTests {
    private let vectors = LoginVectors.all

    @Test(arguments: [
        ("rsa", SignatureAlgorithm.rs256), ("p256", .es256), ("p384", .es384), ("p521", .es512), ("ed25519", .edDSA),
    ])
    func `A public key is for one algorithm, unless others are allowed`(name: String, usual: SignatureAlgorithm) throws
    {
        let pem = try #require(vectors.keys[name])
        #expect(try VerificationKey(pem: pem, algorithms: []).algorithms == [usual])
        #expect(try VerificationKey(pem: "# a comment\n\n" + pem + "\n", algorithms: []).algorithms == [usual])
        #expect(try VerificationKey(pem: pem.replacing("\n", with: "\r\n"), algorithms: []).algorithms == [usual])
        #expect(try VerificationKey(pem: pem, algorithms: Set(SignatureAlgorithm.allCases)).algorithms.contains(usual))
        #expect(
            try VerificationKey(pem: pem, algorithms: Set(SignatureAlgorithm.allCases)).algorithms.isDisjoint(with: [
                .hs256
            ]))
        #expect(throws: KeyError("holds a key that none of the algorithms is for")) {
            try VerificationKey(pem: pem, algorithms: [.hs256])
        }
    }

    @Test func `An RSA key may also be in its older form`() throws {
        #expect(try VerificationKey(pem: vectors.pkcs1, algorithms: []).algorithms == [.rs256])
    }

    @Test func `What is no public key is said to be what it is`() throws {
        let pem = vectors.keys
        let bodies = [
            ("", "must hold one public key in PEM form (-----BEGIN PUBLIC KEY-----)"),
            ("-----BEGIN PUBLIC KEY-----\nAAAA", "must hold one public key in PEM form (-----BEGIN PUBLIC KEY-----)"),
            ("secret", "must hold one public key in PEM form (-----BEGIN PUBLIC KEY-----)"),
            (pem["rsa"]! + pem["p256"]!, "must hold one public key in PEM form (-----BEGIN PUBLIC KEY-----)"),
            (
                pem["rsa"]!.replacing("PUBLIC", with: "PRIVATE"),
                "holds a private key: give the gateway the public one (openssl pkey -pubout)"
            ),
            (
                pem["rsa"]!.replacing("PUBLIC KEY", with: "CERTIFICATE"),
                "holds a certificate: give the key in it (openssl x509 -pubkey -noout)"
            ),
            (pem["rsa1024"]!, "holds an RSA key of less than 2048 bits, which is too short to be safe"),
        ]
        for (text, why) in bodies {
            #expect(throws: KeyError(why)) { try VerificationKey(pem: text, algorithms: []) }
        }
        let unsupported =
            "holds no public key that is supported: RSA of 2048 bits or more, P-256, P-384, P-521 or Ed25519"
        for text in [pem["k256"]!, "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----"] {
            #expect(throws: KeyError(unsupported)) { try VerificationKey(pem: text, algorithms: []) }
        }
    }

    @Test func `A key set's keys are those for signatures, each for its algorithm`() throws {
        let keys = try JSONWebKeys.read(ByteBuffer(string: vectors.key_set), algorithms: [])
        #expect(keys.map(\.id) == ["rsa", "p256", "p384", "p521", "ed25519", "PS"])
        #expect(keys.map(\.algorithms) == [[.rs256], [.es256], [.es384], [.es512], [.edDSA], [.ps256]])
        let few = try JSONWebKeys.read(ByteBuffer(string: vectors.key_set), algorithms: [.rs512, .es384])
        #expect(few.map(\.id) == ["rsa", "p384"])
        #expect(few.map(\.algorithms) == [[.rs512], [.es384]])
    }

    @Test(arguments: [
        "", "[]", "{}", #"{"keys":{}}"#, #"{"keys":null}"#, #"{"keys":[]}"#, #"{"keys":[{"kty":"oct","k":"AAAA"}]}"#,
        #"{"keys":[{"kty":"RSA"}]}"#, "<html>", #"{"keys":[\#(String(repeating: "{},", count: 100)){}]}"#,
    ])
    func `A set without a usable key is an error`(text: String) {
        #expect(throws: KeyError.self) { try JSONWebKeys.read(ByteBuffer(string: text), algorithms: []) }
    }
}
