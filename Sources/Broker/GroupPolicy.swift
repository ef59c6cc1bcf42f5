/// What the `groups:` of the configuration says of groups whose name matches: how much history they keep.
public struct GroupPolicy: Sendable, Equatable {
    /// A glob: `*` any run of characters, `?` one. The first policy that matches counts.
    public var match: String
    /// Messages kept. 0: live only. Default 100.
    public var historySize: Int
    /// Seconds kept. Default one day.
    public var historyTTL: Int

    /// Whether clients of the centrifuge protocol are told who joins and leaves. Default: no.
    public var joinLeave = false

    public static let defaultSize = 100
    public static let defaultTTL = 86_400

    public init(match: String, historySize: Int = Self.defaultSize, historyTTL: Int = Self.defaultTTL) {
        self.match = match
        self.historySize = historySize
        self.historyTTL = historyTTL
    }
}
