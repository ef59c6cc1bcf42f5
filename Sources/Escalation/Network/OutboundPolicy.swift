import NIOSSL

/// Which addresses Web Push may connect to besides public ones, and which certificates it accepts besides the system's.
public struct OutboundPolicy: Sendable {
    /// Blocks that may be connected to although they are not public: for a push service of one's own, and for tests. Default: none.
    public var allowedPrivateNetworks: [AddressBlock]
    /// A PEM file of the authorities that may sign servers' certificates, instead of the system's. nil: the system's.
    public var trustRoots: String?

    public init(allowedPrivateNetworks: [AddressBlock] = [], trustRoots: String? = nil) {
        self.allowedPrivateNetworks = allowedPrivateNetworks
        self.trustRoots = trustRoots
    }

    /// nil: it may be connected to. Otherwise what it is.
    func whyNot(_ address: IPAddress) -> String? {
        guard let reason = PublicAddress.whyNot(address) else { return nil }
        return allowedPrivateNetworks.contains { $0.contains(address) } ? nil : reason
    }

    /// The names of this machine count as its loopback addresses (RFC 6761 section 6.3).
    var allowsLocalhost: Bool {
        whyNot(IPAddress(bytes: [127, 0, 0, 1])) == nil
    }

    /// The certificates of `trustRoots`.
    ///
    /// - Throws: `EscalationError` naming the file.
    func certificates() throws(EscalationError) -> [NIOSSLCertificate]? {
        guard let trustRoots else { return nil }
        do {
            return try NIOSSLCertificate.fromPEMFile(trustRoots)
        } catch { throw EscalationError("no certificates in PEM form can be read from \(trustRoots)") }
    }
}
