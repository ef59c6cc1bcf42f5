public import Broker

/// What is to happen later: scheduled messages, and escalations.
///
/// - Throws (all of them): `BackplaneError`.
public protocol DueAdministration: Sendable {
    /// Scheduled messages, soonest first.
    ///
    /// - Parameters:
    ///   - group: nil: of every group.
    ///   - limit: 1 to 1,000.
    func scheduled(in group: GroupName?, limit: Int) async throws(BackplaneError) -> [ScheduledMessage]

    /// - Returns: false when the id is unknown: the message was sent, or cancelled before.
    func cancel(_ id: ScheduledID) async throws(BackplaneError) -> Bool

    /// - Parameter limit: dead letters, 1 to 1,000.
    func escalations(limit: Int) async throws(BackplaneError) -> EscalationOverview

    /// - Parameter id: nil: all, at most 1,000 in a call.
    /// - Returns: how many dead letters are sent again.
    func retryEscalation(_ id: String?) async throws(BackplaneError) -> Int
}

/// The id of a scheduled message, as the send answered it: `HEX@GROUP`.
public struct ScheduledID: Sendable, Equatable, CustomStringConvertible {
    public let description: String
    public let group: GroupName

    /// nil: the text is none.
    public init?(_ text: String) {
        let parts = text.split(separator: "@", omittingEmptySubsequences: false)
        guard parts.count == 2, !parts[0].isEmpty, parts[0].utf8.count <= 64,
            parts[0].utf8.allSatisfy({
                UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 || UInt8(ascii: "a")...UInt8(ascii: "f") ~= $0
            }),
            let group = try? GroupName(String(parts[1]))
        else { return nil }
        description = text
        self.group = group
    }
}
