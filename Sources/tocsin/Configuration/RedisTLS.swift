import Gateway
import NIOSSL

/// `redis.tls`: certificates and trust roots of `rediss://` connections.
struct RedisTLS: Equatable {
    /// PEM file of the authorities that may sign the server's certificate. Default: the system's.
    var caFile: String?
    /// PEM files of the client certificate, with its chain. Default: none.
    var certificateFile: String?
    var keyFile: String?
    /// The server name to request (SNI) and to verify in the certificate. Default: the address' host.
    var serverName: String?

    /// Loads the files.
    ///
    /// - Parameter caFile: `redis.ca_file`, the other name of `redis.tls.ca_file`.
    /// - Throws: `ConfigurationError`, which names the file and the remedy; it includes nothing of the key.
    func configuration(caFile other: String? = nil) throws(ConfigurationError) -> TLSConfiguration {
        var tls = TLSConfiguration.makeClientConfiguration()
        tls.minimumTLSVersion = .tlsv12
        if let caFile { tls.trustRoots = .certificates(try Self.certificates(caFile, "redis.tls.ca_file")) }
        if let other { tls.trustRoots = .certificates(try Self.certificates(other, "redis.ca_file")) }
        guard let certificateFile, let keyFile else { return tls }
        tls.certificateChain = try Self.certificates(certificateFile, "redis.tls.certificate_file").map {
            .certificate($0)
        }
        do {
            tls.privateKey = .privateKey(try NIOSSLPrivateKey(file: keyFile, format: .pem))
        } catch {
            throw ConfigurationError(
                "redis.tls.key_file: cannot read a private key without passphrase, in PEM form, from \(keyFile)")
        }
        do { _ = try NIOSSLContext(configuration: tls) } catch {
            throw ConfigurationError(
                "redis.tls: the key of \(keyFile) does not belong to the first certificate of \(certificateFile)")
        }
        return tls
    }

    private static func certificates(_ file: String, _ key: String) throws(ConfigurationError) -> [NIOSSLCertificate] {
        guard let certificates = try? NIOSSLCertificate.fromPEMFile(file), !certificates.isEmpty else {
            throw ConfigurationError("\(key): cannot read certificates in PEM form from \(file)")
        }
        return certificates
    }
}
