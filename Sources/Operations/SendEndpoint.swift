import Broker
import NIOCore
import NIOHTTP1

/// `POST /v1/groups/{group}/messages`: sends a message, now or later.
enum SendEndpoint {
    private static let parameters: [AdminEndpoint.Parameter] = [
        .init("ttl", .query, "seconds after which it is not delivered to anyone who comes later"),
        .init("at", .query, "when it is sent, in seconds since 1970 with at most three decimals"),
        .init("in", .query, "the same from now: seconds, or a duration like 90s, 5m, 2h; at most ten years"),
        .init("collapse", .query, "1 to 200 bytes: it replaces the group's last message with the same"),
        .init("urgency", .query, "of push messages: very-low, low, normal or high"),
        .init("escalate", .query, "seconds after which a user who has not seen it is escalated; 0: never"),
        .init("unless", .query, "with escalate, what counts as seen: delivered or read"),
        .init("size", .query, "messages that the group keeps, 0 to 1000000, in place of the policy's"),
        .init("Idempotency-Key", .header, "1 to 200 bytes: sending again with it sends nothing"),
    ]

    static func endpoint(_ administration: any Administration) -> AdminEndpoint {
        AdminEndpoint(
            .POST, "/v1/groups/{group}/messages", "send a message to a group, now or later", .api,
            .later { request in await .of { try await send(request, administration) } }, parameters, body: .required,
            successes: [.init(201, "it was sent: its position"), .init(202, "it is scheduled: its id")])
    }

    private static func send(
        _ request: AdminRequest, _ administration: any Administration
    ) async throws -> AdminAnswer {
        let group = try request.group()
        if let refusal = MessageBody.refusal(of: request) { throw AdminFailure(answer: refusal) }
        let answer = try await administration.send(request.body, to: group, try options(request))
        switch answer {
        case .sent: return .json(.created, answer.write)
        case .scheduled: return .json(.accepted, answer.write)
        }
    }

    private static func options(_ request: AdminRequest) throws(AdminFailure) -> SendOptions {
        let names = parameters.filter { $0.place == .query }.map(\.name)
        // A message whose escalation is misspelled would be sent without it, and nobody would notice.
        if let unknown = request.query.keys.sorted().first(where: { !names.contains($0) }) {
            throw .bad(
                "unknown_parameter", "there is no parameter \"\(unknown)\"",
                "there are \(names.joined(separator: ", "))")
        }
        let keys = request.headers["idempotency-key"]
        guard keys.count <= 1 else {
            throw .bad("bad_key", "the Idempotency-Key is given \(keys.count) times", "send one, of 1 to 200 bytes")
        }
        do {
            return try terms(request.query, key: keys.first).options()
        } catch {
            let name = error.term == "key" ? "the Idempotency-Key" : error.term
            throw .bad("bad_\(error.term)", "\(name) \(error.problem)", error.remedy)
        }
    }

    private static func terms(_ query: [String: String], key: String?) -> SendTerms {
        var terms = SendTerms()
        terms.ttl = query["ttl"]
        terms.key = key
        terms.size = query["size"]
        terms.collapse = query["collapse"]
        terms.urgency = query["urgency"]
        terms.escalate = query["escalate"]
        terms.unless = query["unless"]
        terms.at = query["at"]
        terms.after = query["in"]
        return terms
    }
}
