import Broker
import NIOHTTP1

/// `/v1/scheduled`: messages that are sent later.
enum ScheduleEndpoints {
    static func all(_ administration: any Administration) -> [AdminEndpoint] {
        [
            AdminEndpoint(
                .GET, "/v1/scheduled", "what is scheduled, soonest first", .api,
                .later { request in
                    await .of {
                        let group = try request.queriedGroup(), limit = try request.limit(1...1_000, default: 100)
                        let messages = try await administration.scheduled(in: group, limit: limit)
                        return .json(.ok) { json in
                            json.array("scheduled") { json in
                                for message in messages { json.object(message.write) }
                            }
                        }
                    }
                },
                [
                    .init("group", .query, "only of this group"),
                    .init("limit", .query, "messages, 1 to 1000; 100 if not given"),
                ]),
            AdminEndpoint(
                .DELETE, "/v1/scheduled/{id}", "cancel a scheduled message", .api,
                .later { request in await .of { try await cancel(request, administration) } }),
        ]
    }

    private static func cancel(_ request: AdminRequest, _ administration: any Administration) async throws
        -> AdminAnswer
    {
        guard let id = ScheduledID(request.parameters["id"] ?? "") else {
            throw AdminFailure.bad(
                "bad_id", "the path does not name a scheduled message",
                "use the id that the send answered, hex digits, \"@\" and the group")
        }
        guard try await administration.cancel(id) else {
            return .error(
                .notFound, "not_scheduled", "nothing is scheduled under this id: it was sent, or cancelled before",
                remedy: "GET /v1/scheduled lists what is")
        }
        return .json(.ok) { $0.string("cancelled", id.description) }
    }
}
