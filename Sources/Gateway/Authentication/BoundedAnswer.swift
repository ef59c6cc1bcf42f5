import AsyncHTTPClient
import NIOCore
import NIOHTTP1

extension HTTPClient {
    /// Sends the request and reads the whole response: at most `maximum` bytes, all within `timeout`.
    ///
    /// - Throws: `HTTPClientError`, `NIOTooManyBytesError`, or the connection's error.
    func answer(
        to question: HTTPClientRequest, timeout: TimeAmount, maximum: Int
    ) async throws -> (status: HTTPResponseStatus, body: ByteBuffer) {
        let deadline = ContinuousClock.now + .nanoseconds(timeout.nanoseconds)
        let answer = try await execute(question, timeout: timeout)
        // execute's own time-out covers only the response head; the body gets whatever time is left.
        let body = try await withThrowingTaskGroup(of: ByteBuffer.self) { group in
            group.addTask { try await answer.body.collect(upTo: maximum) }
            group.addTask {
                // Qualified: HTTPClient has a nested type called Task.
                try await _Concurrency.Task.sleep(until: deadline)
                throw HTTPClientError.deadlineExceeded
            }
            defer { group.cancelAll() }
            return try await group.next()!
        }
        return (answer.status, body)
    }
}
