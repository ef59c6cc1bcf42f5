/// The settings that `groups:` in the configuration gives to groups whose name matches: history and presence.
public struct GroupPolicy: Sendable, Equatable {
    /// A glob: `*` matches any run of characters, `?` a single one. The first policy that matches is used.
    public var match: String
    /// Number of messages kept. 0: live only. Default 100.
    public var historySize: Int
    /// Seconds that messages are kept. Default one day.
    public var historyTTL: Int

    /// Whether centrifuge clients get join and leave events. Default: no.
    public var joinLeave = false

    public static let defaultSize = 100
    public static let defaultTTL = 86_400

    public init(match: String, historySize: Int = Self.defaultSize, historyTTL: Int = Self.defaultTTL) {
        self.match = match
        self.historySize = historySize
        self.historyTTL = historyTTL
    }
}
