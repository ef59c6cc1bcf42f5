public import Broker
public import Escalation
public import NIOCore

/// What users have and have read of messages, and what is kept of a user.
///
/// - Throws (all of them): `BackplaneError`; `.refused` with the text of `redis/README.md`, "Functions", when the group keeps no
///   receipts or no inbox, or belongs to another user.
public protocol InboxAdministration: Sendable {
    /// Who is meant by a message, who has it since when, and who has read it: `{"position":…,"users":[…]}`.
    func receipts(of group: GroupName, at position: Position) async throws(BackplaneError) -> ByteBuffer

    /// The groups that belong to the user, and those that have a record of the user.
    func groups(of user: String) async throws(BackplaneError) -> [GroupName]

    /// The user's messages, newest first.
    ///
    /// - Parameters:
    ///   - before: nil: the newest.
    ///   - limit: 0 to 1,000.
    func inbox(
        of group: GroupName, user: String, before: Position?, limit: Int
    ) async throws(BackplaneError) -> InboxPage

    func mark(_ mark: ReadMark, in group: GroupName, user: String) async throws(BackplaneError) -> InboxState

    /// Which addresses a browser's subscription may name.
    var outbound: OutboundPolicy { get }

    /// - Returns: how many subscriptions the user has.
    func register(_ subscription: PushSubscription, of user: String) async throws(BackplaneError) -> Int

    /// - Parameter id: `PushSubscription.id`.
    /// - Returns: false when there was none.
    func removeSubscription(_ id: String, of user: String) async throws(BackplaneError) -> Bool

    /// Ends the user's connections, and removes what is kept of the user.
    func erase(_ user: String) async throws(BackplaneError) -> Erasure
}

/// What an erasure did.
public struct Erasure: Sendable, Equatable {
    /// The groups that belonged to the user, or had a record of the user.
    public var groups: [GroupName]
    /// Who heard that the user's connections end.
    public var heard: BroadcastReceipt

    public init(groups: [GroupName], heard: BroadcastReceipt) {
        self.groups = groups
        self.heard = heard
    }

    /// The entries of what a program is told.
    public func write(_ user: String, to json: inout JSONWriter) {
        json.string("erased", user)
        json.array("groups") { json in
            for group in groups { json.string(group.text) }
        }
        heard.write(to: &json)
    }
}

extension InboxPage {
    /// The entries of the answer: `"unread":2,"read":P,"messages":[{"position":P,"message":{…},"read":false}]`.
    public func write(to json: inout JSONWriter) {
        state.write(to: &json)
        json.array("messages") { json in
            for entry in entries {
                json.object { json in
                    json.string("position", entry.position.description)
                    json.raw("message", entry.json)
                    json.bool("read", entry.isRead)
                }
            }
        }
    }
}
