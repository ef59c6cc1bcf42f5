import ArgumentParser
import Broker
import Foundation
import Gateway
import NIOCore

struct TokenCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "token",
        abstract: "Print a token for trying a login of the kind jwt, as the site would issue it.",
        discussion: """
            Signs with the configuration's secret (HS256, HS384, HS512); for public keys only the issuer can sign. Try it:
              ws://127.0.0.1:8080/PATH?token=TOKEN
            """)

    @Option(name: .long, help: ArgumentHelp("Who the token says that somebody is.", valueName: "u"))
    var user: String

    @Option(name: .long, help: ArgumentHelp("Groups to join, separated by commas.", valueName: "a,b"))
    var groups: String?

    @Option(name: .long, help: ArgumentHelp("When it expires: 30s, 5m, 1h, 7d from now.", valueName: "time"))
    var expires = "1h"

    @Option(
        name: .long,
        help: ArgumentHelp("The name in auth:, where there are several of the kind jwt.", valueName: "name"))
    var auth: String?

    @Option(name: .long, help: ArgumentHelp("The YAML file; without it, environment and defaults.", valueName: "file"))
    var config: String?

    func run() throws {
        guard !user.isEmpty else { throw CommandFailure("--user names nobody") }
        guard let milliseconds = ConfigurationReader.milliseconds(expires), milliseconds >= 1000 else {
            throw CommandFailure("--expires wants a time of 1s or more, like 5m, 1h or 7d")
        }
        let names = try (groups ?? "").split(separator: ",").map { try groupName(String($0)).text }
        let login = try login(Configuration(file: config))
        let now = Int(Date().timeIntervalSince1970)
        print(try token(for: login, groups: names, from: now, to: now + milliseconds / 1000))
    }

    private func login(_ configuration: Configuration) throws -> TokenLogin {
        var logins: [String: TokenLogin] = [:]
        for case (let name, .jwt(let login)) in configuration.authentication { logins[name] = login }
        let known = logins.keys.sorted().joined(separator: ", ")
        if let auth {
            guard let login = logins[auth] else {
                throw CommandFailure(
                    "--auth \(auth): auth: has no such entry of the kind jwt (it has: \(known.isEmpty ? "none" : known))"
                )
            }
            return login
        }
        guard let only = logins.first else {
            throw CommandFailure("auth: has no entry of the kind jwt; give --config FILE")
        }
        guard logins.count == 1 else {
            throw CommandFailure("auth: has several of the kind jwt: --auth, one of \(known)")
        }
        return only.value
    }

    /// Signs a token that the login accepts, with its own issuer, audience and claim names.
    func token(for login: TokenLogin, groups: [String], from start: Int, to end: Int) throws -> String {
        guard case .secrets(let secrets) = login.source, let secret = try login.secrets(secrets).first,
            let algorithm = secrets.algorithms.min(by: { $0.rawValue < $1.rawValue }),
            let signer = TokenSigner(secret: secret, algorithm: algorithm)
        else {
            throw CommandFailure(
                "\(login.path) checks tokens with a public key: only who has the private one can sign. tocsin token needs a "
                    + "login with a secret (hs256_secret)")
        }
        return signer.token(
            JSONWriter.object { claims in
                if let issuer = login.rules.issuers.first { claims.string("iss", issuer) }
                if let audience = login.rules.audiences.first { claims.string("aud", audience) }
                claims.string(login.rules.userKey, user)
                if !groups.isEmpty {
                    claims.array(login.rules.groupsKey) { claims in for group in groups { claims.string(group) } }
                }
                claims.number("iat", start)
                claims.number("exp", end)
            })
    }
}
