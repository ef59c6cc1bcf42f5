/// The name of a channel of the layer, by channels_redis' rule: as a group's, with at most one `!`, whose left side is not empty.
///
/// A general channel (`tasks`) is read by whatever worker is free; a name with `!` (`specific.PROCESS!CONSUMER`) is one
/// consumer's or one connection's.
///
/// Source: channels 4.3, `BaseChannelLayer.valid_channel_name`. Python's `\w` also takes letters of other scripts after the `!`;
/// those names are refused here.
public struct ChannelName: Hashable, Sendable, CustomStringConvertible {
    public let text: String

    /// - Throws: `ChannelNameError`, whose words do not repeat the name.
    public init(_ text: String) throws(ChannelNameError) {
        let parts = text.split(separator: "!", maxSplits: 1, omittingEmptySubsequences: false)
        let isValid =
            text.utf8.count <= GroupName.maximumLength && !parts[0].isEmpty
            && parts.allSatisfy { $0.utf8.allSatisfy(GroupName.isAllowed) }
        guard isValid else { throw ChannelNameError() }
        self.text = text
    }

    /// One consumer's, or one connection's.
    public var isSpecific: Bool { text.utf8.contains(UInt8(ascii: "!")) }

    public var description: String { text }
}

/// The text is not the name of a channel.
public struct ChannelNameError: Error, Equatable, Sendable, CustomStringConvertible {
    public init() {}

    public var description: String {
        "a channel name has ASCII letters, digits, \"-\", \"_\", \".\" and at most one \"!\", and fewer than 100 characters"
    }
}
