import NIOCore
import NIOHTTP1

/// `kind: header`: a proxy has authenticated the user and sends the name in a header. Accepted only from trusted networks.
public struct HeaderAuthenticator: Authenticator {
    private let header: String
    private let trusted: TrustedNetworks

    public init(header: String, trusted: TrustedNetworks) {
        self.header = header
        self.trusted = trusted
    }

    public func identify(_ request: LoginRequest) async throws(LoginFailure) -> Identity {
        guard trusted.contains(request.peer) else { throw .refused("the peer is in no trusted network") }
        let values = request.headers[header]
        guard values.count == 1 else {
            throw .refused(values.isEmpty ? "no header \(header)" : "several headers \(header)")
        }
        guard !values[0].isEmpty else { throw .refused("the header \(header) is empty") }
        return Identity(user: values[0])
    }
}
