import Broker
import NIOCore
import NIOHTTP1

/// `/v1/channels`: sending to one channel of the layer.
enum ChannelEndpoints {
    static func all(_ administration: any Administration) -> [AdminEndpoint] {
        [
            AdminEndpoint(
                .POST, "/v1/channels/{channel}/messages",
                "send a message to one worker, one consumer of Django, or one connection", .api,
                .later { request in await send(request, administration) }, body: .required,
                successes: [.init(201, "it is in the channel")])
        ]
    }

    private static func send(_ request: AdminRequest, _ administration: any Administration) async -> AdminAnswer {
        let channel: ChannelName
        do {
            channel = try ChannelName(request.parameters["channel"] ?? "")
        } catch {
            return .error(
                .badRequest, "bad_channel", "\(error)",
                remedy: "use a name as GET /v1/groups/{group}/members shows it, or a worker's")
        }
        if let refusal = MessageBody.refusal(of: request) { return refusal }
        do {
            let isThere = try await administration.channelSend(request.body, to: channel)
            return .json(.created) { json in
                json.string("channel", channel.text)
                json.bool("sent", isThere)
            }
        } catch {
            return .error(error)
        }
    }
}
