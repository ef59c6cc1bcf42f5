import Broker
import Crypto

/// A secret that a site shares with the gateways: `whsec_` and base64 (Standard Webhooks, "Signature scheme").
///
/// Its description does not show it.
public struct WebhookSecret: Sendable, CustomStringConvertible {
    static let prefix = "whsec_"
    /// Bytes that a secret has, as Standard Webhooks asks for.
    static let length = 24...64

    let key: SymmetricKey

    /// - Throws: `EscalationError` when it is not base64 of 24 to 64 bytes behind `whsec_`.
    public init(_ text: String) throws(EscalationError) {
        let remedy = "make one with: echo whsec_$(openssl rand -base64 32)"
        guard text.hasPrefix(Self.prefix) else {
            throw EscalationError("the secret of a webhook begins with whsec_; \(remedy)")
        }
        guard let bytes = Base64.standard.decode(Array(text.utf8.dropFirst(Self.prefix.utf8.count))) else {
            throw EscalationError("the secret of a webhook is base64 after whsec_, with its padding; \(remedy)")
        }
        guard Self.length.contains(bytes.count) else {
            throw EscalationError("the secret of a webhook has \(bytes.count) bytes instead of 24 to 64; \(remedy)")
        }
        key = SymmetricKey(data: bytes)
    }

    public var description: String { "a webhook's secret" }
}
