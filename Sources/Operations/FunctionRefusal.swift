import NIOHTTP1

/// What a function in Redis refused, told apart by the text of its error (redis/README.md, "Functions"), with the remedy that the
/// text names.
public struct FunctionRefusal: Sendable, Equatable {
    let status: HTTPResponseStatus
    let code: String
    let message: String
    let remedy: String

    /// For people: what was refused, and where the text is known, the remedy.
    public var text: String { code == Self.unknown ? message : "\(message): \(remedy)" }

    /// The code of everything else, which is about the request's form.
    private static let unknown = "refused"

    /// Errors that are about the state of a group or a user, and not about the request's form: the beginning of each text.
    static let known: [(text: String, status: HTTPResponseStatus, code: String, remedy: String)] = [
        ("the group keeps no receipts", .conflict, "no_receipts", "set `receipts: true` in its policy"),
        ("the group keeps no inbox", .conflict, "no_inbox", "set `inbox: true` in its policy"),
        (
            "the group belongs to another user", .conflict, "other_user",
            "ask for the user whom the group's policy names with {user}"
        ),
        (
            "the group has no message at this position", .notFound, "no_message",
            "use the position that the send, or a page of the log, answered for this group"
        ),
        (
            "the position is of another group", .notFound, "no_message",
            "use a position of this group: those from before its key was lost are void"
        ),
        (
            "COLLAPSE is for messages that are kept", .conflict, "not_kept",
            "send without collapse, or with a size of 1 or more"
        ),
        (
            "ESCALATE is for messages that are kept", .conflict, "not_kept",
            "send without escalate, or with a size of 1 or more"
        ),
        ("AT is more than ten years from now", .badRequest, "bad_at", "give seconds, not milliseconds, since 1970"),
        (
            "1000000 sends and escalations are waiting", .conflict, "too_many_waiting",
            "let them become due, or cancel some"
        ),
        ("the user has 20 push subscriptions", .conflict, "too_many_subscriptions", "remove one first"),
    ]

    /// - Parameter text: as the function wrote it, without `ERR tocsin: `.
    public init(_ text: String) {
        guard let entry = Self.known.first(where: { text.hasPrefix($0.text) }) else {
            (status, code, message) = (.badRequest, Self.unknown, text)
            remedy = "change the request: the same is refused again"
            return
        }
        (status, code) = (entry.status, entry.code)
        // Some texts name the remedy themselves, with what the request could leave out instead.
        let rest = text.dropFirst(entry.text.count)
        let separator = rest.firstRange(of: #/[:;] /#)
        message = entry.text + (separator.map { rest[..<$0.lowerBound] } ?? rest)
        remedy = separator.map { String(rest[$0.upperBound...]) } ?? entry.remedy
    }

    /// The group's policy says nothing of an inbox.
    var isNoInbox: Bool { code == "no_inbox" }
}
