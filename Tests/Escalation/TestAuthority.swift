import Foundation
import NIOSSL
import TestSupport
import Testing

/// A certificate authority made by openssl for a test, with one server certificate.
struct TestAuthority {
    /// The PEM file of the authority.
    let file: String
    let server: NIOSSLContext

    /// - Parameter names: the certificate's subjectAltName in openssl's syntax.
    static func run<R>(
        names: String, isolation: isolated (any Actor)? = #isolation, _ body: (TestAuthority) async throws -> R
    ) async throws -> R {
        let directory = NSTemporaryDirectory() + "tocsin-authority-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
        let script = """
            cd "$0" && echo "subjectAltName=$1" > names
            openssl req -x509 -days 2 -subj /CN=ca -keyout ca.key -out ca.crt \(key) &&
            openssl req -subj /CN=server -keyout server.key -out server.csr \(key) &&
            openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.crt
            """
        let process = try ChildProcess(["sh", "-c", script, directory, names])
        try await waitUntil("openssl to end") { !process.isRunning }
        try #require(process.wait() == 0)
        let configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: try NIOSSLCertificate.fromPEMFile("\(directory)/server.crt").map { .certificate($0) },
            privateKey: .privateKey(try NIOSSLPrivateKey(file: "\(directory)/server.key", format: .pem)))
        return try await body(
            TestAuthority(file: "\(directory)/ca.crt", server: try NIOSSLContext(configuration: configuration)))
    }
}
