import Broker
import NIOHTTP1

/// A body that is a JSON object: a message, or a request's terms.
enum MessageBody {
    /// Why it is refused; nil: it is a JSON object.
    ///
    /// - Parameter example: an object that would be accepted.
    static func refusal(
        of request: AdminRequest, code: String = "bad_message", _ example: String? = nil
    ) -> AdminAnswer? {
        if let type = request.headers["content-type"].first,
            type.prefix(while: { $0 != ";" }).lowercased() != "application/json"
        {
            return .error(
                .unsupportedMediaType, "not_json", "the body is not application/json",
                remedy: "send Content-Type: application/json")
        }
        guard (try? JSONFields(request.body)) != nil else {
            return .error(
                .badRequest, code, "the body is not a JSON object",
                remedy: "send one\(example.map { " like \($0)" } ?? ""), in UTF-8")
        }
        return nil
    }
}
