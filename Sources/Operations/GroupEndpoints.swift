import Broker
import NIOCore
import NIOHTTP1

/// `/v1/groups`: sending to a group, its history and its members.
enum GroupEndpoints {
    /// Limits of group_send (redis/README.md).
    private static let ttl = 1...315_360_000
    private static let keyBytes = 1...200

    static func all(_ administration: any Administration) -> [AdminEndpoint] {
        [
            AdminEndpoint(
                .POST, "/v1/groups/{group}/messages", "send a message to a group", .api,
                .later { request in await answer(request) { try await send(request, to: $0, administration) } },
                [
                    .init("ttl", .query, "seconds after which it is not delivered to anyone who comes later"),
                    .init("Idempotency-Key", .header, "1 to 200 bytes: sending again with it sends nothing"),
                ]),
            AdminEndpoint(
                .GET, "/v1/groups/{group}/messages", "what the group's log holds, a page at a time", .api,
                .later { request in await answer(request) { try await history(request, of: $0, administration) } },
                [.init("since", .query, "only what came after this position: a page's next")]),
            AdminEndpoint(
                .GET, "/v1/groups/{group}/members", "who is connected in the group, on all gateways", .api,
                .later { request in
                    await answer(request) { group in
                        let members = try await administration.members(group)
                        return .json(.ok) { json in
                            json.array("members") { json in
                                for member in members { json.object(member.write) }
                            }
                        }
                    }
                }),
        ]
    }

    /// An error response, thrown to unwind.
    private struct Failure: Error {
        var answer: AdminAnswer
    }

    private static func bad(_ code: String, _ message: String, _ remedy: String) -> Failure {
        Failure(answer: .error(.badRequest, code, message, remedy: remedy))
    }

    private static func answer(
        _ request: AdminRequest, _ work: (GroupName) async throws -> AdminAnswer
    ) async -> AdminAnswer {
        let group: GroupName
        do {
            group = try GroupName(request.parameters["group"] ?? "")
        } catch {
            return bad(
                "bad_group", "\(error)", "use ASCII letters, digits, \"-\", \"_\" and \".\", fewer than 100"
            ).answer
        }
        do {
            return try await work(group)
        } catch let failure as Failure {
            return failure.answer
        } catch {
            return .error(error as? BackplaneError ?? BackplaneError(.unavailable, "\(error)"))
        }
    }

    private static func send(
        _ request: AdminRequest, to group: GroupName, _ administration: any Administration
    ) async throws -> AdminAnswer {
        if let refusal = MessageBody.refusal(of: request) { throw Failure(answer: refusal) }
        var seconds: Int?
        if let text = request.query["ttl"] {
            guard let number = Int(text), ttl.contains(number) else {
                throw bad("bad_ttl", "ttl must be a number of seconds", "use \(ttl.lowerBound) to \(ttl.upperBound)")
            }
            seconds = number
        }
        let keys = request.headers["idempotency-key"]
        guard keys.count <= 1, keys.allSatisfy({ keyBytes.contains($0.utf8.count) }) else {
            throw bad("bad_key", "the Idempotency-Key is invalid", "send one, of 1 to 200 bytes")
        }
        let receipt = try await administration.send(request.body, to: group, SendOptions(ttl: seconds, key: keys.first))
        return .json(.created, receipt.write)
    }

    private static func history(
        _ request: AdminRequest, of group: GroupName, _ administration: any Administration
    ) async throws -> AdminAnswer {
        var since: Position?
        if let text = request.query["since"] {
            since = Position(text)
            guard since != nil else {
                throw bad("bad_position", "since is not a position", "use what a send or a page answered")
            }
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
