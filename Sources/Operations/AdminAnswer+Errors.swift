import Broker
import NIOHTTP1

extension AdminAnswer {
    /// An error for programs (`code`) and people (`message`, with a `remedy`).
    static func error(
        _ status: HTTPResponseStatus, _ code: String, _ message: String, remedy: String,
        headers: [(String, String)] = []
    ) -> AdminAnswer {
        var answer = json(status) { json in
            json.object("error") { json in
                json.string("code", code)
                json.string("message", message)
                json.string("remedy", remedy)
            }
        }
        answer.headers = headers
        return answer
    }

    /// The response to an error of the backplane.
    static func error(_ error: BackplaneError) -> AdminAnswer {
        switch error.code {
        case .unavailable:
            .error(
                .serviceUnavailable, "unavailable", "Redis cannot be reached now: \(error.message)",
                remedy: "try again; /readyz says when it is back", headers: [("Retry-After", "2")])
        case .full:
            .error(
                .serviceUnavailable, "channel_full", error.message,
                remedy: "start what reads the channel, or try again", headers: [("Retry-After", "1")])
        case .refused:
            .error(FunctionRefusal(error.message))
        }
    }

    static func error(_ refusal: FunctionRefusal) -> AdminAnswer {
        .error(refusal.status, refusal.code, refusal.message, remedy: refusal.remedy)
    }
}
