/// TLS on the client port: which files, and how old a client may be.
public struct TLSSettings: Sendable, Equatable {
    /// Versions of TLS that a client must speak at least. Older ones are forbidden (RFC 8996).
    public enum Version: String, Sendable, CaseIterable {
        case v12 = "1.2"
        case v13 = "1.3"
    }

    /// PEM: the server's certificate, then those that lead to its authority.
    public var certificateFile: String
    /// PEM, without a passphrase. Its contents are never logged.
    public var keyFile: String
    /// PEM: the authorities of whom a client must show a certificate (mutual TLS). Default: clients need none.
    public var clientCAFile: String?
    /// Default: 1.2.
    public var minimumVersion = Version.v12

    public init(certificateFile: String, keyFile: String) {
        self.certificateFile = certificateFile
        self.keyFile = keyFile
    }

    var files: [String] { [certificateFile, keyFile] + (clientCAFile.map { [$0] } ?? []) }
}
