import AsyncHTTPClient
import NIOCore
import NIOHTTP1

extension HTTPClient {
    /// Asks, and reads the whole answer: at most so many bytes, and all of it within the time.
    ///
    /// - Throws: `HTTPClientError`, `NIOTooManyBytesError`, or what a connection fails with.
    func answer(
        to question: HTTPClientRequest, timeout: TimeAmount, maximum: Int
    ) async throws -> (status: HTTPResponseStatus, body: ByteBuffer) {
        let deadline = ContinuousClock.now + .nanoseconds(timeout.nanoseconds)
        let answer = try await execute(question, timeout: timeout)
        // The client's own time-out ends with the head of the answer; the body has what is left of it.
        let body = try await withThrowingTaskGroup(of: ByteBuffer.self) { group in
            group.addTask { try await answer.body.collect(upTo: maximum) }
            group.addTask {
                // HTTPClient has a Task of its own.
                try await _Concurrency.Task.sleep(until: deadline)
                throw HTTPClientError.deadlineExceeded
            }
            defer { group.cancelAll() }
            return try await group.next()!
        }
        return (answer.status, body)
    }
}
