public import Broker
import NIOHTTP1

/// `/v1/users/{user}/inbox`: what a user has been sent, and has read.
enum InboxEndpoints {
    private static let limits = 0...1_000
    /// Inboxes of one answer.
    private static let mostInboxes = 1_000

    static func all(_ administration: any Administration) -> [AdminEndpoint] {
        [
            AdminEndpoint(
                .GET, "/v1/users/{user}/inbox", "a user's messages, newest first; or the user's inboxes", .api,
                .later { request in
                    await .of {
                        guard let group = try request.queriedGroup() else {
                            return try await list(request, administration)
                        }
                        return try await page(request, of: group, administration)
                    }
                },
                [
                    .init(
                        "group", .query, "the messages of this group; without it, every inbox with its number of unread"
                    ),
                    .init("limit", .query, "messages, 0 to 1000; 50 if not given"),
                    .init("before", .query, "only what came before this position: the last of the page before"),
                ]),
            AdminEndpoint(
                .POST, "/v1/users/{user}/inbox/read", "mark messages as read, or one as unread", .api,
                .later { request in await .of { try await mark(request, administration) } }, body: .required),
        ]
    }

    private static func page(
        _ request: AdminRequest, of group: GroupName, _ administration: any Administration
    ) async throws -> AdminAnswer {
        let limit = try request.limit(limits, default: 50)
        let before = try request.query["before"].map { text throws(AdminFailure) in
            try AdminRequest.position(text, "before")
        }
        let page = try await administration.inbox(of: group, user: request.user, before: before, limit: limit)
        return .json(.ok, page.write)
    }

    private static func list(_ request: AdminRequest, _ administration: any Administration) async throws -> AdminAnswer
    {
        guard request.query["limit"] == nil, request.query["before"] == nil else {
            throw AdminFailure.bad("bad_group", "limit and before are for the messages of one group", "give group too")
        }
        let inboxes = try await administration.inboxes(of: request.user, most: mostInboxes)
        return .json(.ok) { json in
            json.array("inboxes") { json in
                for inbox in inboxes { json.object(inbox.write) }
            }
        }
    }

    private static func mark(_ request: AdminRequest, _ administration: any Administration) async throws -> AdminAnswer
    {
        let fields = try request.object(example)
        guard let name = fields.string("group") else { throw AdminFailure.bad("bad_body", "group is missing", remedy) }
        let group = try AdminRequest.group(name)
        let state = try await administration.mark(try readMark(fields), in: group, user: request.user)
        return .json(.ok, state.write)
    }

    private static let example = #"{"group":"42.inbox","position":"5f3a.9c01ab23de:17"}"#
    private static let remedy =
        "send an object like \(example), or with \"all\":true, \"one\":POSITION or \"unread\":POSITION in place of position"

    /// Exactly one mark.
    private static func readMark(_ fields: JSONFields) throws(AdminFailure) -> ReadMark {
        let names = ["position", "one", "unread", "all"].filter { fields.raw($0) != nil }
        guard names.count == 1, let name = names.first else {
            throw .bad(
                "bad_mark", names.isEmpty ? "nothing is marked" : "\(names[0]) and \(names[1]) are both given", remedy)
        }
        if name == "all" {
            guard fields.flag("all") else { throw .bad("bad_mark", "all is not true", remedy) }
            return .all
        }
        guard let text = fields.string(name) else { throw .bad("bad_mark", "\(name) is not a text", remedy) }
        let position = try AdminRequest.position(text, name)
        return name == "one" ? .one(position) : name == "unread" ? .unreadOne(position) : .upTo(position)
    }
}

/// One of a user's inboxes.
public struct InboxSummary: Sendable, Equatable {
    public let group: GroupName
    public let state: InboxState

    public init(group: GroupName, state: InboxState) {
        self.group = group
        self.state = state
    }

    /// The entries of what a program is told.
    public func write(to json: inout JSONWriter) {
        json.string("group", group.text)
        state.write(to: &json)
    }
}

extension InboxAdministration {
    /// The read state of every group of the user that keeps an inbox.
    ///
    /// - Parameter most: inboxes; further ones are left out.
    public func inboxes(of user: String, most: Int) async throws(BackplaneError) -> [InboxSummary] {
        var inboxes: [InboxSummary] = []
        for group in try await groups(of: user) {
            guard inboxes.count < most else { break }
            do throws(BackplaneError) {
                inboxes.append(
                    InboxSummary(
                        group: group, state: try await inbox(of: group, user: user, before: nil, limit: 0).state))
            } catch {
                // A group that only keeps receipts.
                guard error.code == .refused, FunctionRefusal(error.message).isNoInbox else { throw error }
            }
        }
        return inboxes
    }
}
