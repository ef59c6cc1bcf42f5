import Broker
import Escalation
import NIOCore
import NIOHTTP1

/// `/v1/users/{user}/push-subscriptions`: the browsers that push messages of a user go to.
enum PushEndpoints {
    private static let path = "/v1/users/{user}/push-subscriptions"

    static func all(_ administration: any Administration) -> [AdminEndpoint] {
        [
            AdminEndpoint(
                .PUT, path, "register a browser's push subscription", .api,
                .later { request in
                    await .of {
                        let subscription = try subscription(in: request, administration.outbound)
                        let count = try await administration.register(subscription, of: request.user)
                        return .json(.ok) { json in
                            json.string("id", subscription.id)
                            json.number("subscriptions", count)
                        }
                    }
                }, body: .required),
            AdminEndpoint(
                .DELETE, path, "remove a browser's push subscription", .api,
                .later { request in
                    await .of {
                        let id = PushSubscription.id(of: try endpoint(request))
                        let removed = try await administration.removeSubscription(id, of: request.user)
                        return .json(.ok) { json in
                            json.string("id", id)
                            json.bool("removed", removed)
                        }
                    }
                }, [.init("endpoint", .query, "the subscription's endpoint, if the body does not name it")],
                body: .optional),
        ]
    }

    private static func subscription(
        in request: AdminRequest, _ policy: OutboundPolicy
    ) throws(AdminFailure) -> PushSubscription {
        _ = try request.object(#"{"endpoint":"https://…","keys":{"p256dh":"…","auth":"…"}}"#)
        do throws(EscalationError) {
            return try PushSubscription(json: request.body, policy: policy)
        } catch {
            throw .bad("bad_subscription", error.description, "pass on what PushSubscription.toJSON() gives")
        }
    }

    /// What is removed need not be an address that would be accepted now.
    private static func endpoint(_ request: AdminRequest) throws(AdminFailure) -> String {
        if let endpoint = request.query["endpoint"], !endpoint.isEmpty { return endpoint }
        let remedy = #"give ?endpoint=, percent-encoded, or a body {"endpoint":"https://…"}"#
        guard request.body.readableBytes > 0 else {
            throw .bad("bad_endpoint", "nothing says which subscription", remedy)
        }
        guard let endpoint = try request.object(#"{"endpoint":"https://…"}"#).string("endpoint") else {
            throw .bad("bad_endpoint", "endpoint is missing", remedy)
        }
        return endpoint
    }
}
