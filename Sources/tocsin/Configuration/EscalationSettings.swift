import Broker
import Escalation
import NIOCore

/// One entry of `escalations:`: a target for messages that a user has not seen in time.
struct EscalationSettings {
    private enum Kind {
        case webhook(WebhookURL, secrets: [String], file: String?)
        case webPush(keyFile: String, VAPIDSubject)
    }

    let name: String
    private let kind: Kind
    private(set) var maxInFlight = 8
    private var timeout = TimeAmount.seconds(10)
    private(set) var policy = OutboundPolicy()

    /// The longest time-out: a claim in Redis lasts longer than a task may wait for its slot and then for its answer.
    private static let maximumTimeout = 25_000

    var target: TargetKind {
        switch kind {
        case .webhook: .webhook
        case .webPush: .webPush
        }
    }

    /// - Throws: `ConfigurationError`, which never repeats a secret.
    init(_ name: String, _ reader: ConfigurationReader) throws(ConfigurationError) {
        // The characters of a group's name without the period.
        guard (try? GroupName(name)) != nil, !name.utf8.contains(UInt8(ascii: ".")), name.utf8.count <= 64 else {
            throw ConfigurationError(
                "escalations: \"\(name)\" cannot name a target: use 1 to 64 ASCII letters, digits, \"-\" or \"_\"")
        }
        self.name = name
        switch try reader.text("kind") {
        case "webhook": kind = try Self.webhook(reader)
        case "web_push": kind = try Self.webPush(reader)
        case let kind:
            throw reader.bad("kind", "must be webhook or web_push\(kind.map { ", not \"\($0)\"" } ?? "")")
        }
        if let most = try reader.integer("max_in_flight", 1...1000) { maxInFlight = most }
        if let timeout = try reader.duration("timeout") {
            guard (1...Self.maximumTimeout).contains(timeout) else { throw reader.bad("timeout", "must be 1ms to 25s") }
            self.timeout = .milliseconds(Int64(timeout))
        }
        policy.trustRoots = try reader.text("ca_file")
        if case .webPush = kind { policy.allowedPrivateNetworks = try Self.networks(reader) }
        try reader.finish()
    }

    private static func networks(_ reader: ConfigurationReader) throws(ConfigurationError) -> [AddressBlock] {
        let texts = try reader.texts("allowed_networks") ?? []
        var blocks: [AddressBlock] = []
        do throws(EscalationError) {
            for text in texts { blocks.append(try AddressBlock(text)) }
        } catch {
            throw reader.bad("allowed_networks", ": \(error)")
        }
        return blocks
    }

    private static func webhook(_ reader: ConfigurationReader) throws(ConfigurationError) -> Kind {
        guard let text = try reader.text("url") else { throw reader.bad("url", "is missing: the address to post to") }
        let secrets = try reader.secrets("secret") ?? [], file = try reader.text("secret_file")
        guard secrets.isEmpty != (file == nil) else {
            throw reader.bad(
                "secret", "or secret_file is needed, and not both: \"whsec_\" and 24 to 64 bytes in Base64")
        }
        do throws(EscalationError) {
            for secret in secrets { _ = try WebhookSecret(secret) }
        } catch {
            throw reader.bad("secret", ": \(error)")
        }
        do throws(EscalationError) {
            return .webhook(try WebhookURL(text), secrets: secrets, file: file)
        } catch {
            throw reader.bad("url", ": \(error)")
        }
    }

    private static func webPush(_ reader: ConfigurationReader) throws(ConfigurationError) -> Kind {
        guard let file = try reader.text("vapid_key_file") else {
            throw reader.bad("vapid_key_file", "is missing: the file that `tocsin vapid` has made")
        }
        guard let text = try reader.text("subject") else {
            throw reader.bad("subject", "is missing: whom a push service can ask, like \"mailto:ops@example.com\"")
        }
        do throws(EscalationError) {
            return .webPush(keyFile: file, try VAPIDSubject(text))
        } catch {
            throw reader.bad("subject", ": \(error)")
        }
    }

    /// Reads the files.
    ///
    /// - Throws: `ConfigurationError` when one cannot be used.
    func escalationTarget() throws(ConfigurationError) -> EscalationTarget {
        let key = "escalations.\(name)"
        switch kind {
        case .webhook(let url, let given, let file):
            var texts = given
            if let file { texts = try SecretFile(file, key: "\(key).secret_file").lines(of: "secret") }
            var secrets: [WebhookSecret] = []
            do throws(EscalationError) {
                for text in texts { secrets.append(try WebhookSecret(text)) }
            } catch {
                throw ConfigurationError("\(key).secret_file: \(error)")
            }
            return .webhook(.init(url: url, secrets: secrets, maxInFlight: maxInFlight, timeout: timeout))
        case .webPush(let file, let subject):
            let pem = try SecretFile(file, key: "\(key).vapid_key_file").text()
            do throws(EscalationError) {
                return .webPush(
                    .init(key: try VAPIDKey(pem: pem), subject: subject, maxInFlight: maxInFlight, timeout: timeout))
            } catch {
                throw ConfigurationError("\(key).vapid_key_file: \(error)")
            }
        }
    }
}

extension Configuration {
    /// The addresses that some target delivers to.
    var outbound: OutboundPolicy {
        OutboundPolicy(allowedPrivateNetworks: escalations.flatMap(\.policy.allowedPrivateNetworks))
    }
}
