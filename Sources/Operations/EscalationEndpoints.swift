import Broker
import NIOHTTP1

/// `/v1/escalations`: what waits for webhooks and push services, and what could not be delivered to them.
enum EscalationEndpoints {
    static func all(_ administration: any Administration) -> [AdminEndpoint] {
        [
            AdminEndpoint(
                .GET, "/v1/escalations", "what waits for each target, and the dead letters, newest first", .api,
                .later { request in
                    await .of {
                        let limit = try request.limit(1...1_000, default: 100)
                        return .json(.ok, try await administration.escalations(limit: limit).write)
                    }
                }, [.init("limit", .query, "dead letters, 1 to 1000; 100 if not given")]),
            AdminEndpoint(
                .POST, "/v1/escalations/retry", "send one dead letter again, or all", .api,
                .later { request in await .of { try await retry(request, administration) } }, body: .required),
        ]
    }

    private static func retry(_ request: AdminRequest, _ administration: any Administration) async throws -> AdminAnswer
    {
        let example = #"{"id":"esc_…/site"} or {"all":true}"#
        let fields = try request.object(example)
        let isAll = fields.flag("all"), id = fields.string("id")
        guard isAll != (id != nil), fields.raw("all") == nil || isAll else {
            throw AdminFailure.bad("bad_body", "neither an id nor all is given, or both", "send \(example)")
        }
        // Another text would mean all of them to the function.
        guard id?.hasPrefix(EscalationOverview.idPrefix) != false else {
            throw AdminFailure.bad("bad_id", "the id is not a dead letter's", "use one that GET /v1/escalations lists")
        }
        let count = try await administration.retryEscalation(id)
        guard id == nil || count > 0 else {
            return .error(
                .notFound, "no_dead_letter", "there is no dead letter with this id: it was sent again, or is too old",
                remedy: "GET /v1/escalations lists them")
        }
        return .json(.ok) { $0.number("retried", count) }
    }
}
