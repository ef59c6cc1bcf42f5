/// Channels that are subscribed to in pairs, both in one command: so that whoever counts the subscribers of the two
/// (`PUBSUB NUMSUB`) sees this client in both or in neither.
///
/// The owner asks for the first channel of a pair only.
public struct ChannelPairs: Sendable {
    private let first: String
    private let second: String

    /// - Parameters:
    ///   - first: what the names of the channels that have a second one begin with.
    ///   - second: what the second channel's name has in its place.
    public init(first: String, second: String) {
        self.first = first
        self.second = second
    }

    /// The second channel of the pair; nil: the channel is alone.
    func second(of channel: String) -> String? {
        channel.hasPrefix(first) ? second + channel.dropFirst(first.count) : nil
    }

    /// Whether the channel is the second of a pair: its confirmations are those of the first.
    func isSecond(_ channel: String) -> Bool { channel.hasPrefix(second) }
}
