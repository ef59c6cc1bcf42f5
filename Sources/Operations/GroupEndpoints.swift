import Broker
import NIOCore
import NIOHTTP1

/// `/v1/groups`: a group's history, its members, and who has a message. Sending is in `SendEndpoint`.
enum GroupEndpoints {
    static func all(_ administration: any Administration) -> [AdminEndpoint] {
        [
            SendEndpoint.endpoint(administration),
            AdminEndpoint(
                .GET, "/v1/groups/{group}/messages", "what the group's log holds, a page at a time", .api,
                .later { request in
                    await .of { try await history(request, of: try request.group(), administration) }
                },
                [.init("since", .query, "only what came after this position: a page's next")]),
            AdminEndpoint(
                .GET, "/v1/groups/{group}/messages/{position}/receipts", "who has a message, and who has read it", .api,
                .later { request in
                    await .of {
                        let group = try request.group()
                        let position = try AdminRequest.position(
                            request.parameters["position"] ?? "", "the path's position")
                        var answer = AdminAnswer(.ok, contentType: "application/json", "")
                        answer.body = try await administration.receipts(of: group, at: position)
                        answer.body.writeStaticString("\n")
                        return answer
                    }
                }),
            AdminEndpoint(
                .GET, "/v1/groups/{group}/members", "who is connected in the group, on all gateways", .api,
                .later { request in
                    await .of {
                        let members = try await administration.members(try request.group())
                        return .json(.ok) { json in
                            json.array("members") { json in
                                for member in members { json.object(member.write) }
                            }
                        }
                    }
                }),
        ]
    }

    private static func history(
        _ request: AdminRequest, of group: GroupName, _ administration: any Administration
    ) async throws -> AdminAnswer {
        let since = try request.query["since"].map { text throws(AdminFailure) in
            try AdminRequest.position(text, "since")
        }
        let page = try await administration.history(of: group, since: since)
        return .json(.ok) { json in
            json.string("continuity", page.continuityAsWhole.name)
            json.string("position", page.position?.description)
            json.string("next", page.end?.description)
            json.array("messages") { json in
                for publication in page.entries.compactMap(\.publication) {
                    json.object { json in
                        json.string("position", publication.position?.description)
                        json.raw("message", publication.json)
                    }
                }
            }
        }
    }
}

extension FleetMember {
    fileprivate func write(to json: inout JSONWriter) {
        json.string("channel", channel)
        json.string("user", user)
        json.string("gateway", gateway)
        json.number("since", since)
        json.raw("info", info)
    }
}
