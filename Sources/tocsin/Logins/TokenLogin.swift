import Gateway

/// An `auth:` entry of kind jwt, as configured. Files are read only when the keys are needed, because a command that does not
/// need them may be run by a user who cannot read them.
struct TokenLogin {
    /// Secrets that sign with one algorithm, or several.
    struct Secrets {
        /// The configuration key, for error texts.
        var key: String
        var algorithms: Set<SignatureAlgorithm>
        var values: [String]
        var file: String?
    }

    enum Source {
        case secrets(Secrets)
        case publicKey(file: String)
        case remote(RemoteKeySet.Configuration)
    }

    var path: String
    var rules = JWTAuthenticator.Configuration()
    var algorithms: Set<SignatureAlgorithm> = []
    var source: Source

    /// The keys that are available without a request to an issuer.
    ///
    /// - Throws: `ConfigurationError` when a file cannot be read, or has other contents.
    func fixedKeys() throws(ConfigurationError) -> [VerificationKey] {
        switch source {
        case .secrets(let secrets):
            return try self.secrets(secrets).map { VerificationKey(secret: $0, algorithms: secrets.algorithms) }
        case .publicKey(let file):
            let text = try SecretFile(file, key: "\(path).public_key_file").text()
            do {
                return [try VerificationKey(pem: text, algorithms: algorithms)]
            } catch {
                throw ConfigurationError("\(path).public_key_file: \(file) \(error)")
            }
        case .remote: return []
        }
    }

    /// - Throws: `ConfigurationError`, which never repeats a secret.
    func secrets(_ secrets: Secrets) throws(ConfigurationError) -> [[UInt8]] {
        guard let file = secrets.file else { return secrets.values.map { Array($0.utf8) } }
        let key = "\(path).\(secrets.key)_file"
        var text = try SecretFile(file, key: key).text()
        // Editors and `echo` end a file with a line break that is not part of the secret.
        while text.last?.isNewline == true { text.removeLast() }
        guard text.utf8.count >= VerificationKey.minimumSecret else {
            throw ConfigurationError("\(key): \(file) \(Self.secretRule)")
        }
        return [Array(text.utf8)]
    }

    static let secretRule =
        "must be \(VerificationKey.minimumSecret) bytes or longer: shorter secrets can be guessed from a token "
        + "(openssl rand -base64 32 makes one)"
}
