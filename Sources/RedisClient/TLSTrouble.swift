import NIOSSL

/// What went wrong between two ends that tried to speak TLS, in words that say what to do.
enum TLSTrouble {
    /// Parts of BoringSSL's and SwiftNIO's texts, the more special ones first.
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

    /// The error's own text after the explanation, if there is one.
    static func words(_ error: any Error) -> String {
        let text = "\(error)"
        guard error is NIOSSLError || error is BoringSSLError || error is NIOSSLExtraError,
            let words = known.first(where: { text.contains($0.part) })?.words
        else { return text }
        return "\(words) (\(text))"
    }
}
