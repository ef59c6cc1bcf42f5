public import NIOCore

/// The form in which Django's core layer has written a message into an inbox, for `tocsin doctor --django`.
public struct InboxForm: Sendable, Equatable {
    public enum Content: Sendable, Equatable {
        case messagePack
        case json
        /// A token that none of the keys opens.
        case sealed
        /// None of these: the random bytes in front have another length, or the serializer is the site's own.
        case unknown
    }

    public var content: Content
    /// Whether the message was in a token of Fernet.
    public var isEncrypted: Bool

    /// - Parameters:
    ///   - member: a member of the inbox.
    ///   - prefixLength: number of random bytes in front, as configured.
    ///   - encryption: the keys, as configured.
    public static func of(_ member: ByteBuffer, prefixLength: Int, encryption: FernetKeys) -> InboxForm {
        guard let body = try? LayerMessage.body(ofInboxMember: member, prefixLength: prefixLength) else {
            return InboxForm(content: .unknown, isEncrypted: false)
        }
        // Every token begins with this letter, and no message does.
        let isEncrypted = body.readableBytesView.first == UInt8(ascii: "g")
        guard let opened = try? encryption.opened(body) else { return InboxForm(content: .sealed, isEncrypted: true) }
        guard (try? LayerMessage.withoutChannels(opened)) != nil else {
            return InboxForm(content: .unknown, isEncrypted: isEncrypted)
        }
        let isJSON = opened.readableBytesView.first.map { $0 < 0x80 } ?? false
        return InboxForm(content: isJSON ? .json : .messagePack, isEncrypted: isEncrypted)
    }

    /// What does not fit the gateways' settings, with the remedy; nil: everything fits.
    ///
    /// - Parameters:
    ///   - encrypts: whether gateways have keys.
    ///   - serializer: the gateways'.
    public func trouble(encrypts: Bool, serializer: LayerSettings.Serializer) -> String? {
        switch content {
        case .sealed:
            return encrypts
                ? "it is encrypted with another key: set redis.encryption_keys to the site's symmetric_encryption_keys"
                : "it is encrypted: set redis.encryption_keys to the site's symmetric_encryption_keys"
        case .unknown:
            return
                "it cannot be read: set redis.random_prefix_length and redis.serializer as in CHANNEL_LAYERS; gateways "
                + "read msgpack and JSON"
        case .json, .messagePack:
            if encrypts, !isEncrypted {
                return "it is not encrypted, and consumers could not read what gateways encrypt: remove "
                    + "redis.encryption_keys, or set symmetric_encryption_keys in CHANNEL_LAYERS"
            }
            let written: LayerSettings.Serializer = content == .json ? .json : .messagePack
            guard written != serializer else { return nil }
            return
                "it is in \(written.rawValue), and consumers could not read another serializer: set redis.serializer to "
                + written.rawValue
        }
    }
}
