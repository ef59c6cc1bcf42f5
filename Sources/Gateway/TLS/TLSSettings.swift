/// TLS settings of the client port: the files to use and the oldest version to accept.
public struct TLSSettings: Sendable, Equatable {
    /// The lowest version of TLS that clients may use. Versions below 1.2 are forbidden (RFC 8996).
    public enum Version: String, Sendable, CaseIterable {
        case v12 = "1.2"
        case v13 = "1.3"
    }

    /// PEM: the server's certificate, followed by its chain of issuers.
    public var certificateFile: String
    /// PEM, without a passphrase. Its contents are never logged.
    public var keyFile: String
    /// PEM: authorities that client certificates must be issued by (mutual TLS). Default: clients need no certificate.
    public var clientCAFile: String?
    /// Default: 1.2.
    public var minimumVersion = Version.v12

    public init(certificateFile: String, keyFile: String) {
        self.certificateFile = certificateFile
        self.keyFile = keyFile
    }

    var files: [String] { [certificateFile, keyFile] + (clientCAFile.map { [$0] } ?? []) }
}
