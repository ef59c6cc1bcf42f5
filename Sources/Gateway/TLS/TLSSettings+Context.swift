public import Foundation
import NIOCore
import NIOSSL

extension TLSSettings {
    /// TLS 1.2 suites with forward secrecy and authenticated encryption (RFC 9325 section 4.2). All suites of TLS 1.3 are of
    /// that kind, and are not listed.
    private static let ciphers: [NIOTLSCipher] = [
        .TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, .TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        .TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, .TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        .TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, .TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    ]

    /// Loads the files.
    ///
    /// - Throws: `GatewayError`, which names the file and the remedy; it includes nothing of the key.
    func context() throws(GatewayError) -> NIOSSLContext {
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: try certificates(certificateFile, "tls.certificate_file").map { .certificate($0) },
            privateKey: .privateKey(try privateKey()))
        configuration.minimumTLSVersion = minimumVersion == .v12 ? .tlsv12 : .tlsv13
        configuration.cipherSuiteValues = Self.ciphers
        configuration.applicationProtocols = ["http/1.1"]
        // How long a peer that does not answer close_notify may hold its descriptor.
        configuration.shutdownTimeout = .seconds(2)
        if let clientCAFile {
            configuration.trustRoots = .certificates(try certificates(clientCAFile, "tls.client_ca_file"))
            // Clients have no host name to verify.
            configuration.certificateVerification = .noHostnameVerification
            // Lets a browser with several certificates offer only those that fit.
            configuration.sendCANameList = true
        }
        do {
            return try NIOSSLContext(configuration: configuration)
        } catch {
            throw GatewayError(
                "gateway.tls: the key of \(keyFile) does not belong to the first certificate of \(certificateFile); "
                    + "the server's own certificate must come first, and both files must be of the same request")
        }
    }

    private func certificates(_ file: String, _ key: String) throws(GatewayError) -> [NIOSSLCertificate] {
        let text = try read(file, key)
        guard let certificates = try? NIOSSLCertificate.fromPEMBytes(text), !certificates.isEmpty else {
            throw GatewayError(
                "gateway.\(key): \(file) has no certificate in PEM form; it must begin with -----BEGIN CERTIFICATE-----"
            )
        }
        return certificates
    }

    private func privateKey() throws(GatewayError) -> NIOSSLPrivateKey {
        let text = try read(keyFile, "tls.key_file")
        if String(decoding: text, as: UTF8.self).contains("ENCRYPTED") {
            throw GatewayError(
                "gateway.tls.key_file: the key of \(keyFile) has a passphrase; write one without: "
                    + "openssl pkey -in \(keyFile) -out PLAIN_FILE, readable by the gateway alone")
        }
        guard let key = try? NIOSSLPrivateKey(bytes: text, format: .pem) else {
            throw GatewayError(
                "gateway.tls.key_file: \(keyFile) has no private key in PEM form; it must begin with "
                    + "-----BEGIN PRIVATE KEY----- (openssl pkey converts other forms)")
        }
        return key
    }

    private func read(_ file: String, _ key: String) throws(GatewayError) -> [UInt8] {
        do {
            return try [UInt8](Data(contentsOf: URL(fileURLWithPath: file)))
        } catch {
            throw GatewayError(
                "gateway.\(key): cannot read \(file): \(error.localizedDescription) "
                    + "The gateway's user must be able to read it")
        }
    }
}

extension TLSSettings {
    /// When the server's certificate expires. Loads all files, as a starting gateway does.
    ///
    /// - Throws: `GatewayError`, which names the file and the remedy.
    public func lastDay() throws(GatewayError) -> Date {
        _ = try context()
        let ends = try certificates(certificateFile, "tls.certificate_file").first?.notValidAfter ?? 0
        return Date(timeIntervalSince1970: TimeInterval(ends))
    }
}
