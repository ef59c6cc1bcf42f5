import Broker
import ChannelLayer
import Logging
import NIOCore
import RedisClient

/// Publishes a bench's messages at a steady rate.
struct BenchPublisher: Sendable {
    let client: RedisClient
    let keys: LayerKeys
    let group: GroupName
    let message: BenchMessage
    /// Whether to use `group_send`, which logs; otherwise plain `PUBLISH`.
    let isLogged: Bool

    /// A summary of Redis' answers.
    struct Outcome: Sendable {
        var sent = 0
        var refused = 0
        var firstError: String?
    }

    /// Sends the run's first message, number 0. Loads the function library if Redis has none.
    ///
    /// - Returns: the number of subscribers.
    func greet() async throws -> Int {
        let first = message.encoded(number: 0, due: .now())
        guard isLogged else {
            guard case .integer(let listening) = try await client.send(publication(first)) else { return 0 }
            return Int(listening)
        }
        let answer = try await LayerInspector(client: client, keys: keys)
            .send(first, to: group, logger: Logger(label: "tocsin"))
        guard case .sent(let receipt) = answer else { return 0 }
        return receipt.gateways
    }

    /// Sends numbers 1 to `count`. Messages carry the time when they were due, so a bench that falls behind shows as latency.
    func publish(_ count: Int, rate: Double, progress: @Sendable (Int) async throws -> Void) async throws -> Outcome {
        let start = NIODeadline.now()
        let gap = 1e9 / rate
        var answers: [EventLoopFuture<RedisValue>] = []
        answers.reserveCapacity(count)
        var told = start
        for number in 0..<count {
            let due = start + .nanoseconds(Int64(Double(number) * gap))
            let wait = (due - .now()).nanoseconds
            if wait > 0 { try await Task.sleep(for: .nanoseconds(wait)) }
            let command = publication(message.encoded(number: UInt64(number + 1), due: due))
            answers.append(client.submit(command))
            if due - told >= .seconds(2) {
                told = due
                try await progress(number)
            }
        }
        let results = try await EventLoopFuture.whenAllComplete(answers, on: client.eventLoop).get()
        return results.reduce(into: Outcome()) { outcome, result in
            switch result {
            case .success: outcome.sent += 1
            case .failure(let error):
                outcome.refused += 1
                if outcome.firstError == nil { outcome.firstError = "\(error)" }
            }
        }
    }

    private func publication(_ payload: ByteBuffer) -> RedisCommand {
        if isLogged { return keys.groupSend(payload, to: group) }
        var publish = RedisCommand("PUBLISH", keys.liveChannel(group))
        publish.append(payload)
        return publish
    }
}
