import Gateway

extension Configuration {
    /// Reads `gateway.tls`; nil: the client port does not use TLS.
    static func serverTLS(_ reader: ConfigurationReader) throws(ConfigurationError) -> TLSSettings? {
        let certificate = try reader.text("certificate_file"), key = try reader.text("key_file")
        let authorities = try reader.text("client_ca_file"), version = try reader.text("minimum_version")
        try reader.finish()
        if [certificate, key, authorities, version].allSatisfy({ $0 == nil }) { return nil }
        guard let certificate else {
            throw reader.bad("certificate_file", "is missing: the PEM file of the server's certificate and its chain")
        }
        guard let key else { throw reader.bad("key_file", "is missing: the PEM file of the certificate's key") }
        var settings = TLSSettings(certificateFile: certificate, keyFile: key)
        settings.clientCAFile = authorities
        if let version {
            guard let known = TLSSettings.Version(rawValue: version) else {
                throw reader.bad("minimum_version", "must be \"1.2\" or \"1.3\", not \"\(version)\"")
            }
            settings.minimumVersion = known
        }
        return settings
    }

    /// Reads `redis.tls`.
    static func redisTLS(_ reader: ConfigurationReader) throws(ConfigurationError) -> RedisTLS? {
        var tls = RedisTLS()
        tls.caFile = try reader.text("ca_file")
        tls.certificateFile = try reader.text("certificate_file")
        tls.keyFile = try reader.text("key_file")
        tls.serverName = try reader.text("server_name")
        try reader.finish()
        if (tls.certificateFile == nil) != (tls.keyFile == nil) {
            throw tls.keyFile == nil
                ? reader.bad("key_file", "is missing: a certificate is of no use without its key")
                : reader.bad("certificate_file", "is missing: a key is of no use without its certificate")
        }
        if tls.serverName == "" { throw reader.bad("server_name", "must not be empty") }
        return tls == RedisTLS() ? nil : tls
    }

    /// Reads `gateway.trusted_proxies`.
    static func trustedProxies(_ reader: ConfigurationReader) throws(ConfigurationError) -> TrustedNetworks {
        let networks = try reader.texts("trusted_proxies") ?? []
        do throws(TemplateError) {
            return try TrustedNetworks(networks)
        } catch {
            throw reader.bad("trusted_proxies", ": \(error)")
        }
    }
}
