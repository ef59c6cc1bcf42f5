import Broker
import Crypto
import Foundation
import NIOCore

/// A short name of the policies and of the layer's settings: gateways that are configured alike have the same one.
enum PolicyDigest {
    /// 8 hex digits.
    static func of(_ policies: [GroupPolicy], layer: ByteBuffer? = nil, targets: ByteBuffer? = nil) -> String {
        var rules = GroupPolicy.rules(policies)
        if layer != nil || targets != nil {
            rules.writeString(#","layer":"#)
            rules.writeImmutableBuffer(layer ?? ByteBuffer(string: "{}"))
        }
        if let targets {
            rules.writeString(#","targets":"#)
            rules.writeImmutableBuffer(targets)
        }
        return of(rules: rules.readableBytesView)
    }

    /// - Parameter rules: the JSON array that `policy_set` was given, and what it stores after it.
    static func of(rules: some Collection<UInt8>) -> String {
        SHA256.hash(data: Array(rules)).prefix(4).map { $0.hex(count: 2) }.joined()
    }

    /// The digest of what is in force: `{"version":n,"rules":RULES}` or `{"version":n,"rules":RULES,"layer":LAYER}`, as `policy_set` stores it. nil: something else.
    static func of(stored text: String) -> String? {
        guard let rules = text.range(of: #","rules":"#), text.hasSuffix("}") else { return nil }
        return of(rules: text[rules.upperBound...].utf8.dropLast())
    }
}
