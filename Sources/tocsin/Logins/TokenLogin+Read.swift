import Gateway
import NIOCore

extension TokenLogin {
    private static let sources = [
        "hs256_secret", "hs384_secret", "hs512_secret", "secret", "public_key_file", "jwks_url",
    ]

    /// - Throws: `ConfigurationError`, which never repeats a secret.
    init(_ reader: ConfigurationReader) throws(ConfigurationError) {
        let algorithms = try Self.algorithms(reader)
        var found: [(name: String, source: Source)] = []
        for name in Self.sources.prefix(4) {
            guard let secrets = try Self.secrets(name, algorithms, reader) else { continue }
            found.append((name, .secrets(secrets)))
        }
        if let file = try reader.text("public_key_file") { found.append(("public_key_file", .publicKey(file: file))) }
        let refresh = try reader.duration("jwks_refresh")
        if let url = try reader.text("jwks_url") {
            guard url.hasPrefix("https://") || url.hasPrefix("http://") else {
                throw reader.bad("jwks_url", "must be the https:// or http:// address of a JSON Web Key Set")
            }
            var remote = RemoteKeySet.Configuration(url: url)
            remote.algorithms = algorithms
            if let refresh {
                guard (10_000...86_400_000).contains(refresh) else {
                    throw reader.bad("jwks_refresh", "must be 10s to 1d")
                }
                remote.refresh = .milliseconds(Int64(refresh))
            }
            found.append(("jwks_url", .remote(remote)))
        } else if refresh != nil {
            throw reader.bad("jwks_refresh", "is for jwks_url, which is not set")
        }
        guard let first = found.first else {
            throw ConfigurationError("\(reader.path) needs a key: one of \(Self.sources.joined(separator: ", "))")
        }
        guard found.count == 1 else {
            throw ConfigurationError(
                "\(reader.path) has \(found.map(\.name).joined(separator: " and ")): one key each; make two entries, and "
                    + "name both in the route's auth:")
        }
        self.init(path: reader.path, algorithms: algorithms, source: first.source)
        try Self.check(algorithms, fit: first, reader)
        try readRules(reader)
    }

    private static func algorithms(_ reader: ConfigurationReader) throws(ConfigurationError) -> Set<SignatureAlgorithm>
    {
        var algorithms: Set<SignatureAlgorithm> = []
        for name in try reader.texts("algorithms") ?? [] {
            guard let algorithm = SignatureAlgorithm(rawValue: name) else {
                let known = SignatureAlgorithm.allCases.map(\.rawValue).joined(separator: ", ")
                throw reader.bad("algorithms", "has \"\(name)\"; there are \(known)")
            }
            algorithms.insert(algorithm)
        }
        return algorithms
    }

    /// Reads one kind of secret. `hs256_secret` and the like imply their algorithm; for `secret` it comes from `algorithms`.
    private static func secrets(
        _ name: String, _ algorithms: Set<SignatureAlgorithm>, _ reader: ConfigurationReader
    ) throws(ConfigurationError) -> Secrets? {
        let values = try reader.secrets(name), file = try reader.text("\(name)_file")
        guard values != nil || file != nil else { return nil }
        guard values == nil || file == nil else { throw reader.bad(name, "is set, and \(name)_file too: one of them") }
        guard values?.isEmpty != true else { throw reader.bad(name, "is an empty list") }
        for value in values ?? [] where value.utf8.count < VerificationKey.minimumSecret {
            throw reader.bad(name, secretRule)
        }
        let own: [String: SignatureAlgorithm] = [
            "hs256_secret": .hs256, "hs384_secret": .hs384, "hs512_secret": .hs512,
        ]
        if let own = own[name] {
            guard algorithms.isEmpty || algorithms == [own] else {
                throw reader.bad(
                    "algorithms", "is for secret, public_key_file and jwks_url; \(name) is \(own.rawValue)")
            }
            return Secrets(key: name, algorithms: [own], values: values ?? [], file: file)
        }
        return Secrets(
            key: name, algorithms: algorithms.isEmpty ? [.hs256] : algorithms, values: values ?? [], file: file)
    }

    /// Checks that secrets are used with HMAC only, and public keys with the other algorithms only.
    private static func check(
        _ algorithms: Set<SignatureAlgorithm>, fit found: (name: String, source: Source), _ reader: ConfigurationReader
    ) throws(ConfigurationError) {
        let isSecret = if case .secrets = found.source { true } else { false }
        for algorithm in algorithms.sorted(by: { $0.rawValue < $1.rawValue })
        where (algorithm.family == .hmac) != isSecret {
            throw reader.bad(
                "algorithms",
                "has \(algorithm.rawValue), which needs \(isSecret ? "a public key" : "a secret"), not \(found.name)")
        }
    }

    private mutating func readRules(_ reader: ConfigurationReader) throws(ConfigurationError) {
        if let issuers = try reader.texts("issuer") { rules.issuers = issuers }
        if let audiences = try reader.texts("audience") { rules.audiences = audiences }
        if let leeway = try reader.duration("leeway") {
            guard leeway <= 600_000, leeway % 1000 == 0 else {
                throw reader.bad("leeway", "must be 0 to 10m, in whole seconds")
            }
            rules.leeway = leeway / 1000
        }
        func name(_ key: String, _ place: inout String) throws(ConfigurationError) {
            guard let text = try reader.text(key) else { return }
            guard !text.isEmpty else { throw reader.bad(key, "must be the name of a claim") }
            place = text
        }
        try name("user_key", &rules.userKey)
        try name("groups_key", &rules.groupsKey)
        if let query = try reader.text("query") { rules.location.query = query.isEmpty ? nil : query }
        if let cookie = try reader.text("cookie") { rules.location.cookie = cookie.isEmpty ? nil : cookie }
    }
}
