import Broker
import NIOHTTP1

/// The body of a request that sends a message.
enum MessageBody {
    /// Why it cannot be sent; nil: it is a JSON object.
    static func refusal(of request: AdminRequest) -> AdminAnswer? {
        if let type = request.headers["content-type"].first,
            type.prefix(while: { $0 != ";" }).lowercased() != "application/json"
        {
            return .error(
                .unsupportedMediaType, "not_json", "the body is not application/json",
                remedy: "send Content-Type: application/json")
        }
        guard (try? JSONFields(request.body)) != nil else {
            return .error(
                .badRequest, "bad_message", "the body is not a JSON object", remedy: "send one, in UTF-8")
        }
        return nil
    }
}
