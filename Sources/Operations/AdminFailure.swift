import Broker
import NIOHTTP1

/// An error response, thrown to unwind.
struct AdminFailure: Error {
    var answer: AdminAnswer

    static func bad(_ code: String, _ message: String, _ remedy: String) -> AdminFailure {
        AdminFailure(answer: .error(.badRequest, code, message, remedy: remedy))
    }
}

extension AdminAnswer {
    /// The answer of `work`, or the response to what it throws.
    static func of(_ work: () async throws -> AdminAnswer) async -> AdminAnswer {
        do {
            return try await work()
        } catch let failure as AdminFailure {
            return failure.answer
        } catch {
            return .error(error as? BackplaneError ?? BackplaneError(.unavailable, "\(error)"))
        }
    }
}
