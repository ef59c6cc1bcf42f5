import Foundation

/// The address that a webhook is posted to. Its description is the origin only: the path and the query may be a capability.
public struct WebhookURL: Sendable, Equatable, CustomStringConvertible {
    /// All of it, for the request only.
    let text: String
    let origin: String

    /// - Throws: `EscalationError` when it is not `http://` or `https://` with a host, or contains a login.
    public init(_ text: String) throws(EscalationError) {
        guard let parts = URLComponents(string: text), let scheme = parts.scheme?.lowercased(),
            scheme == "http" || scheme == "https", let host = parts.host, !host.isEmpty,
            (1...65535).contains(parts.port ?? 443)
        else { throw EscalationError("the url of a webhook is an address like https://site.example/hooks/tocsin") }
        guard parts.user == nil, parts.password == nil else {
            throw EscalationError("the url of a webhook has no login: the site checks the signature instead")
        }
        guard parts.fragment == nil else {
            throw EscalationError("the url of a webhook ends in a fragment (#…), which is never sent: remove it")
        }
        self.text = text
        origin = "\(scheme)://\(host.lowercased())" + (parts.port.map { ":\($0)" } ?? "")
    }

    public var description: String { origin }
}
