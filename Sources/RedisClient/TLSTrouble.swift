import NIOSSL

/// Explains TLS errors, with the remedy where one is known.
enum TLSTrouble {
    /// Substrings of BoringSSL's and SwiftNIO's error texts, the more specific ones first.
    private static let known: [(part: String, words: String)] = [
        ("CERTIFICATE_VERIFY_FAILED", "the server's certificate is signed by no authority of redis.tls.ca_file"),
        ("ailedToValidateHostname", "the server's certificate is for another name; redis.tls.server_name names it"),
        ("nable to validate", "the server's certificate is for another name; redis.tls.server_name names it"),
        ("CERTIFICATE_REQUIRED", "the server wants a client's certificate: redis.tls.certificate_file and key_file"),
        ("ALERT_UNKNOWN_CA", "the server does not know the authority of redis.tls.certificate_file"),
        ("ALERT_CERTIFICATE_EXPIRED", "the certificate of redis.tls.certificate_file has expired"),
        ("ALERT_BAD_CERTIFICATE", "the server does not take the certificate of redis.tls.certificate_file"),
        ("HANDSHAKE_FAILURE", "the server wants something else: a client's certificate, or another version of TLS"),
        ("PROTOCOL_VERSION", "the server speaks another version of TLS; 1.2 is the oldest"),
        ("WRONG_VERSION_NUMBER", "the server speaks no TLS at this port; write redis:// or its TLS port"),
    ]

    /// The explanation, if there is one, followed by the error's own text.
    static func words(_ error: any Error) -> String {
        let text = "\(error)"
        guard error is NIOSSLError || error is BoringSSLError || error is NIOSSLExtraError,
            let words = known.first(where: { text.contains($0.part) })?.words
        else { return text }
        return "\(words) (\(text))"
    }
}
